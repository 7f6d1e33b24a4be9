# %% [markdown]
# # Recommending films by matrix factorization
#
# A well-known tutorial article builds a recommender in Keras: MovieLens 100K, an embedding for every user and every
# film, a dot product, the top five. It is a good introduction. This notebook follows it step by step, in the same
# order, with cofactor. The article stops at a poor list; this notebook continues to a good one.
#
# All output was printed by running the notebook. You can run it yourself; it takes about a minute.

# %%
import warnings

import numpy as np
import polars as pl

import cofactor as cf
from cofactor.evaluation import better, evaluate, plots
from cofactor.solvers import NMF, ImplicitALS, KerasMF, Popularity
from cofactor.solvers.keras_mf import keras_model

warnings.simplefilter("ignore", cf.GoalWarning)  # step 8 shows the kind of list that it warns about
pl.Config.set_tbl_hide_dataframe_shape(True).set_tbl_rows(20).set_fmt_str_lengths(45)

# %% [markdown]
# ## 1 · The data
#
# The article downloads a zip, unpacks it and reads `u.data` with pandas. Here a name is enough. The file is downloaded
# once, verified against a checksum, and cached. Titles are included.

# %%
ratings = cf.load_dataset("ml-100k")
ratings

# %%
ratings.to_frame().head()

# %% [markdown]
# The last number of the summary is the density: the share of all pairs of a user and a film that have a rating. We
# want to predict the rest.

# %%
ratings.describe()

# %% [markdown]
# ## 2 · Re-indexing, and why you need not do it
#
# The article turns user 196 into 195 and film 242 into 241. A reader asked why, and how to get back to the real films.
#
# **Why re-index?** An embedding is a table with one row per user. Its rows are numbered from 0 without gaps. Ids can
# be anything: numbers with gaps, e-mail addresses, codes. So a program must translate ids to row numbers. The
# numbering does not change the result: any order of the rows gives the same model.
#
# **Why not by hand?** Two numbers for one film get mixed up sooner or later, and a list of wrong films looks just like
# a list of right ones. cofactor translates inside and never shows row numbers: you pass ids and get ids.

# %%
ratings.users.rows(["196", "186", "22"])  # the article's 195, 185, 21: internal row numbers

# %%
try:
    ratings.user_history("9999")
except cf.UnknownIdError as error:
    print(error)

# %% [markdown]
# ## 3 · Training and test part
#
# As in the article, 80 % of the ratings are for training and 20 % for testing. With the same seed, the split is the
# same every time. `split_per_user`, `split_last` and `split_by_time` are other ways to hold out data.

# %%
train, test = ratings.split_random(test_fraction=0.2, seed=0)
train, test

# %% [markdown]
# ## 4 · The model
#
# Each user has a vector $p_u$ and each film a vector $q_i$, both with 20 numbers. They start at random. The predicted
# rating is their dot product $p_u \cdot q_i$.
#
# **Why a dot product?** Another reader asked this: why not a multiplication? A rating is one number, so two vectors
# must become one number. The dot product does this in a way that fits ratings. For each coordinate, multiply how much
# the film has of something by how much the user likes it; then add everything up. A *matrix* multiplication does the
# same for all users at once: the table of all predictions is $P Q^\top$, and each of its entries is a dot product.
# This explains the name: the table of ratings is *factorized* into two thin matrices.
#
# This is the article's network, with the same number of parameters.

# %%
network = keras_model(n_users=ratings.n_users, n_items=ratings.n_items, rank=20, biases=False)
network.summary(line_length=100)

# %% [markdown]
# ## 5 · Training, and the curve
#
# First the article's model: no biases and no regularization. It is trained in fewer and larger steps than the
# article's 100 epochs with batches of 32 ratings, which take minutes and do no better.

# %%
bare = {"biases": False, "regularization": 0.0, "bias_regularization": 0.0, "schedule": "constant"}
steps = {"learning_rate": 0.005, "batch_size": 512, "epochs": 40}
article = KerasMF(rank=20, **bare, **steps, seed=0).fit(train)

# %% [markdown]
# Our model differs in two ways. It has **biases**: some films are better than others for everyone, and some people
# give higher ratings than others to everything. The dot product should not have to explain that. And it has **weight
# decay by count**: the vector of a user with five ratings is kept closer to zero than that of a user with five
# hundred.

# %%
ours = KerasMF(rank=20, seed=0).fit(train)
plots.training_curve({"the article's": article.history, "with biases and decay": ours.history})

# %% [markdown]
# The article's curve falls further. That looks like success, but it is the error on the training data. With 20 numbers
# per user and film, the model learns these ratings by heart.

# %%
plots.model_diagram(ours)

# %% [markdown]
# ## 6 · Errors at 5, 10 and 20 factors
#
# Now we measure the error on the test part, which neither model has seen. The article's columns are the numbers that
# it printed: the more factors, the larger the error.

# %%
printed = {5: (0.9430, 0.7500), 10: (1.1858, 0.8259), 20: (1.6322, 0.9582)}
models = {rank: ours if rank == 20 else KerasMF(rank=rank, seed=0).fit(train) for rank in printed}
reports = {rank: evaluate(model, test) for rank, model in models.items()}
errors = pl.DataFrame(
    {
        "rank": list(printed),
        "article's MSE": [mse for mse, _ in printed.values()],
        "our MSE": [report["mse"] for report in reports.values()],
        "article's MAE": [mae for _, mae in printed.values()],
        "our MAE": [report["mae"] for report in reports.values()],
    }
)
errors

# %%
plots.error_by_rank(
    {"the article": {rank: mse for rank, (mse, _) in printed.items()},
     "ours": {rank: report["mse"] for rank, report in reports.items()}},
    intervals={"ours": {rank: report.interval("mse") for rank, report in reports.items()}},
)  # fmt: skip

# %% [markdown]
# With regularization, more factors do not have to mean overfitting. Is one rank *really* better than another? A paired
# test over the users gives the difference with an interval:

# %%
print(better(reports[20], reports[5], "mse"))

# %% [markdown]
# ## 7 · The embeddings
#
# The article describes the film vectors column by column. We can do this for both sides at once.

# %%
ours.describe().select("vectors", "statistic", "0", "1", "2", "3", "4")

# %% [markdown]
# The numbers have no meaning by themselves, but distances between vectors do. Nobody told the model anything about
# films. (Further down in the list are films that hardly anyone rated. The model knows little about those, which
# matters in step 8.)

# %%
ours.similar_items("50", n=6)  # 50 is Star Wars

# %% [markdown]
# ## 8 · The top five, and what is wrong with them
#
# The article multiplies a user's vector with those of all films and takes the five largest products. It returns row
# numbers, includes films that the user has seen, and does not show the titles. Let us look at them, for user 1:

# %%
counts = np.bincount(train.matrix.indices, minlength=train.n_items)


def top_five(model, user):
    """Return a user's list, with how many people rated each film in the training part."""
    advised = model.recommend([user], n=5)
    return advised.select("position", "title", "score", rated_by=pl.Series(counts[model.items.rows(advised["item"])]))


train.user_history("1").select("title", "value").head(8)

# %%
top_five(article, "1")

# %% [markdown]
# Look at the last column: few people saw these films. And some scores are above five stars. The model learned how
# people rate what they *chose* to watch. It knows very little about films that hardly anyone chose, and of hundreds of
# inaccurate predictions, some are at the top.
#
# A list needs the answer to another question: **what will this user choose?** For that, the films that a user did not
# choose are data too. `ImplicitALS` learns from both: each rating is weighted by its stars, and every other film
# counts as a weak no.

# %%
ranker = ImplicitALS(seed=0).fit(train)
top_five(ranker, "1")

# %% [markdown]
# A nicer list proves nothing, so let us measure how many of the held-out films are near the top of the lists.
# `ndcg@10` is 1 if the first ten positions are all hits, and 0 if none is. The baseline is the list of the most
# popular films, the same for everyone.

# %%
contenders = {
    "the article's": article,
    "ours, for ratings": ours,
    "popularity": Popularity().fit(train),
    "ours, for ranking": ranker,
}
measured = {name: evaluate(model, test, k=10) for name, model in contenders.items()}
pl.DataFrame(
    [
        {"model": name, **{metric: report[f"{metric}@10"] for metric in ("ndcg", "precision", "recall", "coverage")}}
        for name, report in measured.items()
    ]
)

# %%
print(better(measured["ours, for ranking"], measured["popularity"], "ndcg@10"))

# %% [markdown]
# A model with small errors can make poor lists, even worse than popularity. **If you want a list, train for a list.**
# `cofactor fit` does this unless `--goal rating` is given.
#
# ## 9 · Without negative numbers: tastes that can be read
#
# The article ends with a wish: embeddings without negative numbers. Then the factors only add up, so each factor can
# be read as a taste. These are the films with the largest weights in some of them.

# %%
tastes = NMF(rank=12, goal="ranking", seed=0).fit(train)
weights = tastes.item_vectors / np.linalg.norm(tastes.item_vectors, axis=1, keepdims=True).clip(1e-9)
known = counts >= 60
assert (tastes.item_vectors >= 0).all()
pl.DataFrame(
    {
        f"taste {factor}": tastes.metadata.titles.gather(np.argsort(-np.where(known, weights[:, factor], 0))[:6])
        for factor in range(4)
    }
)

# %% [markdown]
# ## 10 · A new user
#
# The article's model only knows its 943 users. With the film vectors fixed, the vector of a new user is the solution
# of one small equation, so nothing is trained again:

# %%
visitor = ranker.fold_in({"visitor": ["50", "172", "181"]})  # the first three Star Wars films
visitor.recommend(["visitor"], n=5).select("position", "title", "score")

# %% [markdown]
# The model can also explain its recommendation. The shares add up to the score:

# %%
first = visitor.recommend(["visitor"], n=1)["item"][0]
visitor.explain("visitor", first).select("title", "share")

# %% [markdown]
# ## 11 · Save it, serve it
#
# A model is one file. It contains no code, so loading it is safe.

# %%
ranker.save("films.safetensors")
again = cf.load("films.safetensors")
assert again.recommend(["1"], n=5).equals(ranker.recommend(["1"], n=5))

# %% [markdown]
# Two commands start a service with a page to rate films on, and write a report of everything above:
#
# ```text
# cofactor serve films.safetensors
# cofactor report films.safetensors ml-100k -o report.html
# ```
#
# A program can ask the service for a list:

# %%
import json
import socket
import subprocess
import sys
import time
import urllib.request

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [sys.executable, "-c", "from cofactor.apps.cli import main; main()", "serve", "films.safetensors"]
service = subprocess.Popen(
    [*command, "--port", str(port), "--ratings", "sqlite:///ratings.db"],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)  # fmt: skip


def ask(address, seconds=60):
    """Return the service's answer, once it has started."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{address}") as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > until or service.poll() is not None:
                raise
            time.sleep(0.2)


try:
    answer = ask("/v1/users/1/recommendations?n=5")
finally:
    service.terminate()
    service.wait()
served = [item["title"] for item in answer["items"]]
assert served == top_five(ranker, "1")["title"].to_list()
served

# %% [markdown]
# These are the same five films as in step 8. The report shows all of this on one page:

# %%
from pathlib import Path

from cofactor.evaluation import report_page

page = report_page(ranker, ratings, name="Films", examples=2)
written = Path("report.html").write_text(page, encoding="utf-8")
print(f"report.html: {written / 1000:.0f} kB, open it in any browser")

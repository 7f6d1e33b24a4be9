# %% [markdown]
# # Recommending films by matrix factorization
#
# A well-known tutorial article builds a recommender in Keras: MovieLens 100K, an embedding for every user and every
# film, a dot product, the top five. It is a fine road into the subject. This notebook walks it again, step by step and
# in the same order, with cofactor beside it; and where the article stops, at a list that nobody would like, it goes on.
#
# Everything here was printed by running it. Run it yourself: it takes about a minute.

# %%
import warnings

import numpy as np
import polars as pl

import cofactor as cf
from cofactor.evaluation import better, evaluate, plots
from cofactor.solvers import NMF, ImplicitALS, KerasMF, Popularity
from cofactor.solvers.keras_mf import keras_model

warnings.simplefilter("ignore", cf.GoalWarning)  # it warns of the very list that step 8 is about
pl.Config.set_tbl_hide_dataframe_shape(True).set_tbl_rows(20).set_fmt_str_lengths(45)

# %% [markdown]
# ## 1 · The data
#
# The article downloads a zip, unpacks it and reads `u.data` with pandas. Here a name is enough; the file is fetched
# once, verified against a checksum, and kept. Titles come along.

# %%
ratings = cf.load_dataset("ml-100k")
ratings

# %%
ratings.to_frame().head()

# %% [markdown]
# The last number of the summary is the density: of all pairs of a user and a film, so many are known. The rest is what
# we want to say something about.

# %%
ratings.describe()

# %% [markdown]
# ## 2 · Re-indexing, and why you need not
#
# The article turns user 196 into 195 and film 242 into 241, and a reader asked what for, and how one then finds one's
# way back to the real films.
#
# **Why at all?** An embedding is a table with one row for each user. Tables are addressed by row number, from 0 without
# gaps; ids are whatever somebody called their users: numbers with holes, e-mail addresses, codes. So inside there must
# be a translation. It changes no result: any numbering of the rows gives the same model.
#
# **Why not outside?** Because two numbers for one film get mixed up sooner or later, and a list of wrong films looks
# just like a list of right ones. cofactor translates inside and never shows a row: ids go in, ids come out.

# %%
ratings.users.rows(["196", "186", "22"])  # the article's 195, 185, 21: a matter of the inside

# %%
try:
    ratings.user_history("9999")
except cf.UnknownIdError as error:
    print(error)

# %% [markdown]
# ## 3 · Training and test part
#
# Eighty per cent to learn from, twenty to be judged by, as in the article. The seed makes it the same split every time.
# `split_per_user`, `split_last` and `split_by_time` hold out in other ways.

# %%
train, test = ratings.split_random(test_fraction=0.2, seed=0)
train, test

# %% [markdown]
# ## 4 · The model
#
# Each user has a vector $p_u$ and each film a vector $q_i$, both of 20 numbers at first meaningless, and the predicted
# rating is their dot product $p_u \cdot q_i$.
#
# **Why a dot product?** asked another reader, rather than a multiplication. A rating is one number, so two vectors must
# become one number. The dot product does it in the way that makes sense of a rating: coordinate by coordinate, how much
# this film has of something, times how much this user cares for it, all added up. And a *matrix* multiplication is the
# same for everybody at once: the table of all predictions is $P Q^\top$, each of its entries one dot product. That is
# where the name comes from: the table of ratings is *factorized* into two thin matrices.
#
# This is the article's network; it has the same number of parameters.

# %%
network = keras_model(n_users=ratings.n_users, n_items=ratings.n_items, rank=20, biases=False)
network.summary(line_length=100)

# %% [markdown]
# ## 5 · Training, and the curve
#
# First the article's model as it stands: no biases, nothing to hold the numbers back. (In fewer and larger steps than
# its 100 epochs of 32 ratings, which take minutes and do no better.)

# %%
bare = {"biases": False, "regularization": 0.0, "bias_regularization": 0.0, "schedule": "constant"}
steps = {"learning_rate": 0.005, "batch_size": 512, "epochs": 40}
article = KerasMF(rank=20, **bare, **steps, seed=0).fit(train)

# %% [markdown]
# Then ours, which differs in two things. It has **biases**: some films are better than others whoever watches, some
# people are kinder than others whatever they watch, and such plain facts should not have to hide in a dot product. And
# it has **weight decay by count**: the numbers of somebody with five ratings are held closer to zero than those of
# somebody with five hundred.

# %%
ours = KerasMF(rank=20, seed=0).fit(train)
plots.training_curve({"the article's": article.history, "with biases and decay": ours.history})

# %% [markdown]
# The article's curve falls further, and that looks like a success. It is not: what falls is the error on ratings that
# the model has before its eyes. With 20 numbers for everyone it learns them by heart.

# %%
plots.model_diagram(ours)

# %% [markdown]
# ## 6 · Errors at 5, 10 and 20 factors
#
# Now the judgement, on the fifth of the ratings that neither has seen. The article printed what stands in its column:
# the more factors, the worse.

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
# More room to learn need not mean more learnt by heart. Whether one rank is *really* better than another is a question
# about the users, and has an answer with an interval around it:

# %%
print(better(reports[20], reports[5], "mse"))

# %% [markdown]
# ## 7 · The embeddings
#
# The article describes the learnt film vectors column by column. So can we, for both sides at once.

# %%
ours.describe().select("vectors", "statistic", "0", "1", "2", "3", "4")

# %% [markdown]
# The numbers by themselves say nothing; what lies near what does. Nobody told the model anything about films. (Further
# down come films that hardly anybody rated. Of those the model knows little, which will matter in step 8.)

# %%
ours.similar_items("50", n=6)  # 50 is Star Wars

# %% [markdown]
# ## 8 · The top five, and what is wrong with them
#
# The article multiplies a user's vector with all films and takes the five largest. It returns row numbers, leaves in
# what the user has seen, and does not look at the titles. Let us look, for user 1:

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
# Look at the last column: films that few people saw. And the scores run past five stars. The model was asked how
# people rate what they *chose* to watch. About films that hardly anybody chose it knows next to nothing, and among
# hundreds of wild guesses some come out on top.
#
# A list asks something else: **what will this user choose?** That not having chosen is a hint as well is what a model
# for ranking learns from: here implicit-feedback ALS, each rating weighted by its stars, all that was not rated
# counting a little as a no.

# %%
ranker = ImplicitALS(seed=0).fit(train.as_confidences())
top_five(ranker, "1")

# %% [markdown]
# Taste is no proof, so let us measure: of what was held out, how much stands high in the lists? `ndcg@10` is 1 where
# the first ten places are all hits, and 0 where none is. The honest rival is the list of what is popular, the same for
# everyone.

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
# A model with small errors can make bad lists, even worse ones than popularity alone. **If you want a list, train for a
# list.** `cofactor fit` does, unless `--goal rating` is given.
#
# ## 9 · Without negative numbers: tastes that can be read
#
# The article ends with a wish: embeddings with no negative entries. With those, tastes only ever add up, so each factor
# can be read as one: here are the films that weigh most in some of them.

# %%
tastes = NMF(rank=12, feedback="implicit", seed=0).fit(train.as_confidences())
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
# ## 10 · Somebody new
#
# The article's model knows its 943 users and nobody else. With the film vectors given, a newcomer's vector is the
# solution of one small equation, so nothing is trained again:

# %%
visitor = ranker.fold_in({"visitor": ["50", "172", "181"]})  # the first three Star Wars films
visitor.recommend(["visitor"], n=5).select("position", "title", "score")

# %% [markdown]
# And it can say why. The shares add up to the score:

# %%
first = visitor.recommend(["visitor"], n=1)["item"][0]
visitor.explain("visitor", first).select("title", "share")

# %% [markdown]
# ## 11 · Keep it, serve it
#
# A model is one file, which holds no code: whoever loads it runs nothing.

# %%
ranker.save("films.safetensors")
again = cf.load("films.safetensors")
assert again.recommend(["1"], n=5).equals(ranker.recommend(["1"], n=5))

# %% [markdown]
# On the command line, the same file has a service with a page to rate films on, and a report of everything above:
#
# ```text
# cofactor serve films.safetensors
# cofactor report films.safetensors ml-100k -o report.html
# ```
#
# From here, ask the service as any program would:

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
# The same five as in step 8. And the report, which shows all of this in one page:

# %%
from pathlib import Path

from cofactor.evaluation import report_page

page = report_page(ranker, ratings, name="Films", examples=2)
written = Path("report.html").write_text(page, encoding="utf-8")
print(f"report.html: {written / 1000:.0f} kB, open it in any browser")

"""Use one extra of an installed cofactor in earnest: ``python smoke.py EXTRA``, in an environment with nothing else.

No pytest and no test helper is imported: the environment holds what the wheel asks for, and nothing more.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from importlib import import_module
from pathlib import Path

DATA = "synthetic:300x200x6000"
COFACTOR = str(Path(sys.executable).parent / "cofactor")


def command(*arguments, failing=False):
    """Run the installed command, and return what it prints."""
    done = subprocess.run([COFACTOR, *arguments], capture_output=True, text=True, timeout=1200)
    assert (done.returncode != 0) is failing, f"cofactor {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stderr if failing else done.stdout


def fitted(solver):
    path = Path(f"{solver}.safetensors")
    if not path.exists():
        command("fit", DATA, "--solver", solver, "-o", str(path))
    return path


def nothing():
    """Without an extra: train, recommend, and be told what to install for the rest."""
    assert command("--version").startswith("cofactor ")
    listed = json.loads(command("recommend", str(fitted("implicit-als")), "1", "-n", "3", "--json"))
    assert "1" in json.dumps(listed)
    assert "pip install 'cofactor[keras]'" in command("fit", DATA, "--solver", "keras", failing=True)


def keras(backend="jax"):
    os.environ["KERAS_BACKEND"] = backend
    import cofactor as cf
    from cofactor.solvers import KerasMF

    model = KerasMF(rank=4, epochs=2).fit(cf.load_dataset(DATA))
    assert len(model.history["mse"]) == 2, model.history
    assert import_module("keras").backend.backend() == backend


def tensorflow():
    keras("tensorflow")


def sql():
    import cofactor as cf

    with closing(sqlite3.connect("stars.db")) as database, database:
        database.execute("create table stars (user text, item text, value real)")
        database.executemany("insert into stars values (?, ?, ?)", [("ann", "tea", 5), ("bob", "rye", 3)])
    assert cf.read_sql("select * from stars", "sqlite:///stars.db").matrix.nnz == 2
    import_module("psycopg")


def web():
    """Serve a model, ask for its health and a list, and stop it as an operator would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([COFACTOR, "serve", str(fitted("svd")), "--port", str(port)]) as server:
        try:
            assert answer(port, "/healthz")
            assert b"<html" in answer(port, "/")
            assert json.loads(answer(port, "/openapi.json"))["paths"]
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0, server.returncode


def answer(port, path):
    for _ in range(120):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
                return reply.read()
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no answer at {path}")


def tune():
    import cofactor as cf
    from cofactor.evaluation import tune as search
    from cofactor.solvers import PureSVD

    best = search(
        PureSVD, cf.load_dataset(DATA).at_least(4).binary(), metric="ndcg@10", trials=2, space={"rank": (2, 8)}
    )
    assert 2 <= best.solver.rank <= 8


def approximate():
    import cofactor as cf
    from cofactor.solvers import PureSVD

    model = PureSVD(rank=8).fit(cf.load_dataset("synthetic:300x3000x20000")).approximate(recall=0.9)
    assert model.recall >= 0.9


def export():
    import cofactor as cf
    from cofactor.solvers import PureSVD

    model = PureSVD(rank=8).fit(cf.load_dataset(DATA))
    for name in ("lists.onnx", "items.usearch"):
        assert model.export(name).stat().st_size > 1000


def mlflow():
    import cofactor as cf
    import cofactor.mlflow as flavor
    from cofactor.solvers import PureSVD

    model = PureSVD(rank=8).fit(cf.load_dataset(DATA))
    flavor.save_model(model, "saved")
    assert flavor.load_model("saved") == model


def spark():
    """Spark learns from a file and fills a folder, from which a list comes; without Java, the error says so."""
    pairs = [(user, item) for user in range(1, 21) for item in range(1, 11) if (user + item) % 2]
    lines = (f"{user},{item},{1 + (user * item) % 5}" for user, item in pairs)
    Path("stars.csv").write_text("\n".join(["user,item,value", *lines]) + "\n")
    fit = ("fit", "stars.csv", "--solver", "spark-als", "-o", "from-spark")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        assert "Java" in command(*fit, failing=True)
        return
    command(*fit)
    listed = json.loads(command("recommend", "from-spark", "1", "-n", "3", "--json"))["recommendations"]
    assert len(listed) == 3, listed


def docs():
    """Sphinx builds a page of cofactor's docstrings with the site's theme and extensions."""
    Path("site").mkdir()
    Path("site/conf.py").write_text(
        'extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]\nhtml_theme = "pydata_sphinx_theme"\n'
    )
    Path("site/index.md").write_text("# cofactor\n\n```{eval-rst}\n.. autofunction:: cofactor.read_csv\n```\n")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "site", "site/html"], check=True)
    assert "read_csv" in Path("site/html/index.html").read_text(encoding="utf-8")


EXTRAS = {one.__name__: one for one in (keras, tensorflow, spark, web, sql, tune, approximate, export, mlflow, docs)}


def main(extra):
    if extra == "nothing":
        nothing()
    elif extra == "all":
        for name in EXTRAS:  # each in a process of its own: Keras has one backend a process
            subprocess.run([sys.executable, __file__, name], check=True)
    else:
        EXTRAS[extra]()


if __name__ == "__main__":
    main(sys.argv[1])

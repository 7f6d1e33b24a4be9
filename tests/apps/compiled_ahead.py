"""A process of its own: compile ahead, then train, serve and refit every kind of model, and tell what is compiled then.

Run with a folder; prints one JSON object.
"""

import importlib
import json
import pkgutil
import sys
import warnings
from pathlib import Path
from typing import ClassVar

import polars as pl
from numba.core.dispatcher import Dispatcher
from numba.core.event import Listener, register
from starlette.testclient import TestClient

import cofactor as cf
import cofactor.kernels
import cofactor.model.bayesian
from cofactor.apps.compile import VARIANTS
from cofactor.apps.compile import compile as compile_ahead
from cofactor.apps.web.app import create_app
from cofactor.apps.web.refit import refit, stored_in
from cofactor.apps.web.settings import ServiceSettings
from cofactor.apps.web.store import RatingsStore
from cofactor.solvers import solver_class

BRIEF = {"epochs": 2, "sweeps": 6, "burn_in": 1, "n_samples": 3}


class Compiled(Listener):
    """Names of the kernels that are being compiled."""

    names: ClassVar[list[str]] = []

    def on_start(self, event):
        self.names.append(event.data["dispatcher"].py_func.__qualname__)

    def on_end(self, event):
        pass


def unused():
    """Return the kernels that Python code calls and that were not called yet."""
    kernels = {}
    for package in (cofactor.kernels, cofactor.model.bayesian):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Dispatcher):
                    kernels[f"{value.py_func.__module__}.{value.py_func.__qualname__}"] = value
    called = {name for kernel in kernels.values() for name in kernel.py_func.__code__.co_names}
    return sorted(
        name for name, kernel in kernels.items() if name.rsplit(".", 1)[1] not in called and not kernel.overloads
    )


def table():
    """Return data of other sizes and another kind of ids than those that were compiled with."""
    frame = cf.load_dataset("synthetic:300x200x6000").to_frame()
    texts = [pl.format(f"{letter}{{}}", column).alias(column) for letter, column in (("u", "user"), ("i", "item"))]
    frame = frame.select(*texts, "value", "timestamp")
    films = frame.select("item").unique(maintain_order=True).with_row_index("year", offset=1900)
    films = films.with_columns(genres=pl.format("Drama|{}", pl.col("year") % 7))
    return cf.from_frame(frame, value="value", time="timestamp", items=films)


def questions(model):
    """Yield requests to every address of the service: method, path, body."""
    first, second = (model.items.ids[row] for row in (0, 1))
    like, dislike = {"item": first, "value": 5}, {"item": second, "value": 1}
    orders = ["mean"] if model.objective.draws == 1 else ["mean", "cautious", "optimistic"]
    for user in ("u1", "ann"):
        yield "PUT", f"/v1/users/{user}/ratings/{first}", {"value": 5}
        yield "PUT", f"/v1/users/{user}/ratings/{second}", {"value": 5}
        yield "DELETE", f"/v1/users/{user}/ratings/{second}", None
    for user in ("u1", "u2", "ann", "nobody"):
        for n in (5, 150):
            for by in orders:
                yield "GET", f"/v1/users/{user}/recommendations?n={n}&reasons=2&by={by}", None
        yield "GET", f"/v1/users/{user}/recommendations?year_from=1910&genres=Drama", None
        yield "GET", f"/v1/users/{user}/explanations/{second}", None
    for ratings in ([], [like], [like, dislike]):
        yield "POST", "/v1/recommendations", {"ratings": ratings, "reasons": 2}
        yield "POST", "/v1/recommendations", {"ratings": ratings, "before": [like]}
        yield "POST", "/v1/explanations", {"ratings": ratings, "item": second}
    for path in ("popular", "map", "model", f"items/{first}", f"items/{first}/similar"):
        yield "GET", f"/v1/{path}", None
    yield "POST", "/v1/admin/reload", None


def serve_and_refit(model, folder):
    """Ask a service everything, retrain with what it stored, and return the statuses of its answers."""
    folder.mkdir()
    path, ratings = model.save(folder / "model.safetensors"), f"sqlite:///{folder}/ratings.db"
    app = create_app(ServiceSettings(model=path, ratings=ratings))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        statuses = {client.request(method, path, json=body).status_code for method, path, body in questions(model)}
    refit(model, stored_in(RatingsStore(ratings)))
    return statuses


def main():
    folder, late, statuses = Path(sys.argv[1]), {}, set()
    warnings.simplefilter("ignore")
    compile_ahead(json_output=True)
    never = unused()
    register("numba:compile", Compiled())
    data = table()
    for number, (name, settings) in enumerate(VARIANTS):
        kind = solver_class(name)
        brief = {field: value for field, value in BRIEF.items() if field in kind.__dataclass_fields__}
        statuses |= serve_and_refit(kind(**brief, **settings).fit(data), folder / str(number))
        if Compiled.names:
            late[f"{name} {settings}"] = sorted(set(Compiled.names))
            Compiled.names.clear()
    sys.stdout.write(json.dumps({"unused": never, "late": late, "statuses": sorted(statuses)}))


if __name__ == "__main__":
    main()

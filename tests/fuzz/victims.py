"""What opens a mutant and then does with it all that can be done: run as a process of its own, which may end badly.

``python victims.py FORMAT`` reads a path a line and answers a line of JSON for each: what happened, in how much memory.
Only an error of cofactor's own, which is one sentence, is a refusal; any other exception is a finding.
"""

import contextlib
import dataclasses
import faulthandler
import io
import json
import logging
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import stored_files

import cofactor as cf

SCRATCH = Path(tempfile.gettempdir()) / f"cofactor-victim-{os.getpid()}"


def model(path):
    for read in (cf.open_model, cf.load):
        try:
            found = read(path)
        except cf.ModelFileError:
            continue
        use_model(found, again=read is cf.load)
        yield


def model_folder(path):
    from cofactor.model.folder import open_folder

    yield from model(path)
    try:
        opened = open_folder(path)
        opened.recommend(["u1"], n=2, on_unknown="skip")
    except cf.CofactorError:
        return
    yield


def use_model(found, again):
    """Do what people do with a model; each may be refused in a sentence."""
    from cofactor.apps.web.served_model import load_served
    from cofactor.solvers.retrain import solver_of, trained_on

    users, items = list(found.users)[:2], list(found.items)[:3]
    new = {items[0]: 4.0, items[-1]: 2.0} if items else {}
    steps = [
        lambda: found.digest,
        lambda: repr(found) + found._repr_html_(),
        lambda: found.describe(),
        lambda: found.recommend(users, n=3, on_unknown="skip"),
        lambda: found.recommend(users, n=3, by="cautious"),
        lambda: found.score(users[:1], items[:1], clip=True),
        lambda: found.score(users[:1], items[:1]),
        lambda: found.interval(users[:1], items[:1]),
        lambda: found.similar_items(items[0], n=2),
        lambda: found.similar_users(users[0], n=2),
        lambda: found.fold_in({"fresh": new}).recommend(["fresh"], n=2),
        lambda: found.fold_in_items({"fresh item": {users[0]: 4.0}} if users else {}),
        lambda: found.place({"fresh": dict.fromkeys(items[:2], 3.0)}),
        lambda: found.explain(users[0], items[0]),
        lambda: found.explain(users[0], items[-1]),
        lambda: found.update(trained_on(found)),
    ]
    for step in steps:
        with contextlib.suppress(cf.CofactorError, IndexError if not (users and items) else cf.CofactorError):
            step()
    if not again:
        return
    with contextlib.suppress(cf.CofactorError):
        solver = solver_of(found)
        few = {"epochs": 1, "sweeps": 2, "burn_in": 0, "n_samples": 1}
        names = {field.name for field in dataclasses.fields(solver)}
        if type(solver).__name__ not in ("SparkALS", "KerasMF") and getattr(solver, "rank", 1) <= 256:
            solver = dataclasses.replace(solver, **{name: value for name, value in few.items() if name in names})
            solver.fit(trained_on(found))
    kept = found.save(SCRATCH / "again.safetensors")
    assert cf.load(kept).digest == found.digest
    if found.n_items:
        served = load_served(kept)
        served.warm()
        json.dumps(served.card())


def interactions(path):
    for memory in (None, "16MB"):
        try:
            found = cf.Interactions.open(path, **({} if memory is None else {"memory": memory}))
        except cf.DataError:
            continue
        use_interactions(found)
        yield


def use_interactions(found):
    from cofactor.solvers import ALS, BPR, ImplicitALS

    steps = [
        lambda: repr(found) + found._repr_html_(),
        lambda: found.to_frame(),
        lambda: found.describe(),
        lambda: found.split_random(seed=1),
        lambda: found.split_last(1),
        lambda: found.split_by_time(test_fraction=0.3),
        lambda: found.split_users(n_users=2),
        lambda: found.at_least(3),
        lambda: ALS(rank=3, epochs=1).fit(found),
        lambda: ImplicitALS(rank=3, epochs=1).fit(found).recommend(list(found.users)[:2], n=2),
        lambda: BPR(rank=3, epochs=1).fit(found),
        lambda: found.write(SCRATCH / f"again-{os.urandom(6).hex()}"),
    ]
    for step in steps:
        with contextlib.suppress(cf.CofactorError):
            step()


def cache(path, made={}):  # noqa: B006 - made once
    """Put the mutant in the place of a cache's arrays; what is damaged is sorted again."""
    import shutil

    source, folder = SCRATCH / "source.parquet", SCRATCH / "cache"
    if not made:
        stored_files.tables()["ratings"].to_frame().write_parquet(source)
    opened = lambda: cf.open_parquet(source, time="timestamp", memory="16MB", cache=folder)  # noqa: E731
    if not made:
        opened()
        made["home"] = next(folder.rglob("interactions.json")).parent
    shutil.rmtree(made["home"], ignore_errors=True)
    shutil.copytree(path, made["home"]) if not any(one.is_fifo() for one in path.iterdir()) else None
    try:
        found = opened()
    except cf.DataError:
        return
    use_interactions(found)
    yield


def checkpoint(path):
    name = path.name.split(".")[1]
    table = stored_files.tables()[stored_files.MODELS[name][1]]
    try:
        stored_files.solver_of(name).fit(table, checkpoint=path).recommend(["u1"], n=2)
    except cf.CofactorError:
        return
    yield


def study(path):
    name = path.name.split(".")[1]
    try:
        stored_files.searched(name, path, trials=3).trials_frame()
    except cf.CofactorError:
        return
    yield


def ratings_store(path):
    from cofactor.apps.web.store import RatingsStore, StoreAway

    try:
        store = RatingsStore(f"sqlite:///{path}")
    except cf.SettingError:
        return
    steps = [
        store.version,
        lambda: [float(value) for _, _, value in store.since(-1).rows if value is not None],
        lambda: store.since(2),
        lambda: store.write("u9", {"1": 2.0}),
        lambda: store.replace("u9", {"2": 2.0}),
        store.peek,
        store.probe,
    ]
    for step in steps:
        with contextlib.suppress(cf.CofactorError, StoreAway):
            step()
    store.close()
    yield


def tokens(path):
    from cofactor.apps.web.access import Tokens

    try:
        Tokens(path).admit("x" * 20)
    except cf.SettingError:
        return
    yield


FORMATS = {
    "models": model, "model-folders": model_folder, "interactions": interactions, "cache": cache,
    "checkpoints": checkpoint, "studies": study, "ratings-stores": ratings_store, "tokens": tokens,
}  # fmt: skip


def peak():
    """Return the largest resident set since `forget_peak`, in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024, int(lines["VmRSS"].split()[0]) * 1024


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


def main(name):
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    SCRATCH.mkdir()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        forget_peak()
        before = peak()[1]
        faulthandler.dump_traceback_later(8)
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                outcome = {"outcome": "works" if list(FORMATS[name](path)) else "refused"}
        except BaseException as error:
            outcome = {"outcome": "raised", "error": f"{type(error).__name__}: {error}"[:300]}
            outcome["trace"] = traceback.format_exc()[-2500:]
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({**outcome, "memory": peak()[0] - before}), file=answers)


if __name__ == "__main__":
    main(sys.argv[1])

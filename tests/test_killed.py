"""Work that is ended at any moment: no half file under its final name, and done again it gives the same bits.

It is killed, interrupted by Ctrl-C, or left without disk or memory. The long form has 50 moments for each kind of work.
"""

import contextlib
import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import cofactor as cf
from cofactor.solvers import ImplicitALS

LONG = os.environ.get("COFACTOR_TEST_LONG") == "1"
MOMENTS = int(os.environ.get("COFACTOR_TEST_MOMENTS", "50")) if LONG else 1
STAGE = "synthetic:400x150x9000:1"

STARTED = """
    import sys
    from cofactor.data import array_store
    from cofactor.lists import everyone
    array_store.BYTES_AN_ENTRY = 8_000_000 // 500  # so that a limit of 16 MB means 500 ratings at a time
    everyone.USERS_AT_ONCE = 20
"""

COMMAND = """
    from cofactor.__main__ import main
    import cofactor.apps.cli
    print("started", flush=True)
    main()
"""

FIT = """
    import cofactor as cf
    from cofactor.apps.show import reporting_errors
    from cofactor.solvers import ImplicitALS
    print("started", flush=True)

    def fit():
        ratings = cf.read_parquet("ratings.parquet")
        ImplicitALS(rank=8, epochs=12, seed=3).fit(ratings, checkpoint="checkpoint").save("fitted.safetensors")

    work = fit
"""

OPEN = """
    import cofactor as cf
    from cofactor.apps.show import reporting_errors
    print("started", flush=True)
    work = lambda: cf.open_parquet("ratings.parquet", memory="16MB", cache="cache")
"""

AS_A_COMMAND = """
    import typer
    try:
        reporting_errors(work)()
    except typer.Exit as error:
        sys.exit(error.exit_code)
"""


@dataclass(frozen=True)
class Work:
    """What is run in a folder, and the patterns of the files that it makes."""

    code: str
    made: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    slow: bool = False


WORKS = {
    "fit": Work(FIT + AS_A_COMMAND, ("fitted.safetensors",)),
    "recommend": Work(COMMAND, ("lists.parquet",), ("recommend", "model.safetensors", "--all", "-o", "lists.parquet")),
    "tune": Work(
        COMMAND, ("tuned/best.json", "tuned/*.svg"),
        ("tune", "ratings.parquet", "-o", "tuned", "--trials", "4", "--fix", "epochs=2", "--folds", "1"), slow=True,
    ),
    "refit": Work(
        COMMAND, ("new.safetensors",), ("refit", "model.safetensors", "ratings.parquet", "-o", "new.safetensors")
    ),
    "open_parquet": Work(OPEN + AS_A_COMMAND, ("cache/*/*/*.npy",)),
    "quickstart": Work(
        COMMAND, ("out/*.safetensors", "out/*.svg"),
        ("quickstart", "--data", "synthetic:90x60x2000", "-o", "out"), slow=True,
    ),
}  # fmt: skip


def begin(work, folder, prepare=None):
    """Start a work in a folder, and return its process once it has loaded."""
    code = textwrap.dedent(STARTED) + textwrap.dedent(work.code)
    environment = {**os.environ, "COFACTOR_DATA": str(folder / "data"), "COLUMNS": "500", "NO_COLOR": "1"}
    environment["KERAS_BACKEND"] = "jax"
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):  # it writes files too, and would be half-written
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *work.arguments],
        cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=prepare,
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().strip() == "started"


def files(work, folder):
    """Return what a work has made, by file: its bytes; a digest of a model, which says how long its training took."""
    made = [path for pattern in work.made for path in folder.glob(pattern)]
    found = [path for path in made if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return {path.name: cf.load(path).digest if path.suffix == ".safetensors" else path.read_bytes() for path in found}


@dataclass(frozen=True)
class Whole:
    """What a work makes when it is left alone, and how many seconds it takes."""

    made: dict[str, bytes | str]
    largest: int
    bytes: int
    seconds: float


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with what the works begin from: ratings and a model."""
    home = tmp_path_factory.mktemp("start")
    ratings = cf.load_dataset(STAGE)
    columns = ratings.to_frame().drop("title").rename({"timestamp": "time"})
    columns.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(home / "ratings.parquet", row_group_size=2000)
    train = cf.read_parquet(home / "ratings.parquet").split_random(test_fraction=0.3, seed=0)[0]
    ImplicitALS(rank=6, epochs=6, seed=1).fit(train).save(home / "model.safetensors")
    return home


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """Return what a work makes when nothing happens to it; each is done once."""

    @functools.cache
    def done(name):
        folder = tmp_path_factory.mktemp(name) / "whole"
        shutil.copytree(start, folder)
        process, loaded = begin(WORKS[name], folder)
        begun = time.monotonic()
        assert loaded, process.stderr.read()
        _, said = process.communicate()
        assert process.returncode == 0, said
        made = files(WORKS[name], folder)
        assert made
        sizes = [path.stat().st_size for pattern in WORKS[name].made for path in folder.glob(pattern)]
        return Whole(made, max(sizes), sum(sizes), time.monotonic() - begun)

    return done


def same_or_none(work, folder, wanted):
    """Assert that each file under a final name is whole."""
    for name, content in files(work, folder).items():
        assert content == wanted.made[name], f"{name} is half-written, or other bits"


def finished(name, folder, wanted):
    """Do a work again to its end: it must make the same bits."""
    process, _ = begin(WORKS[name], folder)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert files(WORKS[name], folder).keys() == wanted.made.keys()
    same_or_none(WORKS[name], folder, wanted)


def ended(name, folder, wanted, how: Callable[[subprocess.Popen], None], moment):
    """Begin a work and do something to it at a moment; return its code and what it said."""
    process, _ = begin(WORKS[name], folder)
    time.sleep(moment)
    how(process)
    _, said = process.communicate()
    same_or_none(WORKS[name], folder, wanted)
    return process.returncode, said


def one_sentence(said):
    """Assert that errors are told in a line, and return it."""
    assert "Traceback" not in said, said
    told = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(told) == 1, said
    return told[0]


def moments_of(name):
    return MOMENTS if LONG or not WORKS[name].slow else 0


QUICK = [name for name in WORKS if LONG or not WORKS[name].slow]


@pytest.mark.parametrize("name", QUICK)
def test_killed_at_any_moment_it_goes_on_to_the_same_bits(name, start, whole, tmp_path):
    random, wanted = np.random.default_rng([1, list(WORKS).index(name)]), whole(name)
    left = moments_of(name)
    while left:
        folder = tmp_path / f"run {left}"
        shutil.copytree(start, folder)
        for _ in range(min(left, 5)):  # killed again and again, and then not
            ended(name, folder, wanted, subprocess.Popen.kill, random.uniform(0, wanted.seconds))
            left -= 1
        finished(name, folder, wanted)
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", QUICK if LONG else ["fit"])
def test_interrupted_at_any_moment_it_says_so_in_a_line(name, start, whole, tmp_path):
    random, wanted = np.random.default_rng([2, list(WORKS).index(name)]), whole(name)
    left = moments_of(name)
    while left:
        folder = tmp_path / f"run {left}"
        shutil.copytree(start, folder)
        for _ in range(min(left, 5)):
            moment = random.uniform(0, wanted.seconds)
            code, said = ended(name, folder, wanted, lambda process: process.send_signal(signal.SIGINT), moment)
            left -= 1
            assert code in (0, 130, -signal.SIGINT), (code, said)
            assert "Traceback" not in said
            if code == 130:  # else its work was done, and Python was about to end
                assert "stopped" in one_sentence(said)
        finished(name, folder, wanted)
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", QUICK if LONG else ["recommend"])
def test_without_disk_it_says_so_in_a_line(name, start, whole, tmp_path):
    random, wanted = np.random.default_rng([3, list(WORKS).index(name)]), whole(name)
    for number in range(moments_of(name)):
        folder = tmp_path / f"run {number}"
        shutil.copytree(start, folder)
        size = int(random.uniform(0, wanted.largest))
        process, _ = begin(
            WORKS[name], folder, lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        )
        _, said = process.communicate()
        same_or_none(WORKS[name], folder, wanted)
        assert process.returncode in (0, 1), (process.returncode, said)
        if process.returncode:
            assert "File too large" in one_sentence(said)
        finished(name, folder, wanted)
        shutil.rmtree(folder)


@contextlib.contextmanager
def small_disk(folder, room):
    """A disk of its own with so many bytes of room; yield what makes it larger."""
    if os.getuid() or shutil.which("mount") is None:
        pytest.skip("making a small disk needs root and mount")
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", folder], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no small disk can be made here: {made.stderr}")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=1g", folder], check=True)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("name", QUICK if LONG else ["recommend"])
def test_on_a_full_disk_it_says_so_in_a_line(name, start, whole, tmp_path):
    random, wanted = np.random.default_rng([5, list(WORKS).index(name)]), whole(name)
    given = sum(4096 * (1 + path.stat().st_size // 4096) for path in start.rglob("*"))
    for number in range(moments_of(name)):
        folder = tmp_path / f"run {number}"
        with small_disk(folder, int(given + random.uniform(8192, 1.5 * wanted.bytes))) as enlarge:
            shutil.copytree(start, folder, dirs_exist_ok=True)
            process, _ = begin(WORKS[name], folder)
            _, said = process.communicate()
            same_or_none(WORKS[name], folder, wanted)
            assert process.returncode in (0, 1), (process.returncode, said)
            if process.returncode:
                assert "No space left on device" in one_sentence(said)
            enlarge()
            finished(name, folder, wanted)


@contextlib.contextmanager
def container():
    """A control group; yield its file of the most memory, its file of what is used, and that of its processes."""
    home = Path("/sys/fs/cgroup")
    first = (home / "memory").is_dir()
    group = (home / "memory" if first else home) / f"cofactor-{os.getpid()}"
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if first else ("memory.max", "memory.current")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if not (group / names[0]).exists():
            pytest.skip("control groups do not limit memory here")
        yield group / names[0], group / names[1], group / "cgroup.procs"
    finally:
        while (group / "cgroup.procs").read_text():
            time.sleep(0.01)
        group.rmdir()


@contextlib.contextmanager
def in_a_container(work, folder, room):
    """Run a work that may take so many bytes more, once it has loaded, than it has; beyond them it is killed."""
    with container() as (most, used, members):
        process, _ = begin(work, folder, lambda: members.write_text(str(os.getpid())))
        with contextlib.suppress(OSError):  # it needs more already
            most.write_text(str(int(used.read_text()) + int(0.15 * room)))  # pages in use, where the other counts all
        yield process
    assert process.returncode in (0, 1, 2, -signal.SIGKILL)


@contextlib.contextmanager
def in_an_address_space(work, folder, room):
    """The same, of addresses; beyond them it is given no more."""
    process, _ = begin(work, folder)
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + int(room)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (most, most))
    yield process


@pytest.mark.long
@pytest.mark.parametrize("limited", [in_a_container, in_an_address_space])
@pytest.mark.parametrize("name", QUICK)
def test_without_memory_no_file_is_half_written(name, limited, start, whole, tmp_path):
    random, wanted = np.random.default_rng([4, list(WORKS).index(name)]), whole(name)
    codes = []
    for number in range(moments_of(name)):
        folder = tmp_path / f"run {number}"
        shutil.copytree(start, folder)
        with limited(WORKS[name], folder, random.uniform(0, 400e6)) as process:
            _, said = process.communicate()
        codes.append(process.returncode)
        same_or_none(WORKS[name], folder, wanted)
        if process.returncode in (1, 2):
            one_sentence(said)
        finished(name, folder, wanted)
        shutil.rmtree(folder)
    print(name, "ended with", {code: codes.count(code) for code in set(codes)})  # noqa: T201

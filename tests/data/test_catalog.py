"""The catalogue: fetched once, verified, whole or not there at all; nothing here needs a network but one test."""

import dataclasses
import errno
import hashlib
import http.server
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cofactor.data import catalog, download
from cofactor.data.array_store import scratch_folder
from cofactor.data.attribute_files import read_items
from cofactor.data.catalog import Dataset, cache_folder, dataset_files, datasets, load_dataset
from cofactor.data.readers import read_movielens
from cofactor.errors import DataError, DownloadError, SettingError

RATINGS = "".join(f"{user}\t{item}\t{(user + item) % 5 + 1}\t{user * item}\n" for user in (1, 2, 10) for item in (3, 4))
TITLES = "3|Café (1995)||||" + "|".join("0" * 19) + "\n4|Tea (1996)||||" + "|".join("0" * 18 + "1") + "\n"


def packed(**changed: bytes) -> bytes:
    """A zip with the two files, a third one, and one that would like to be elsewhere."""
    members = {"toy/u.data": RATINGS.encode(), "toy/u.item": TITLES.encode("latin-1"), "toy/u.user": b"private"}
    members |= {f"toy/{name.replace('_', '.')}": content for name, content in changed.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (members | {"../../escaped": b"x"}).items():
            archive.writestr(name, content)
    return buffer.getvalue()


@dataclasses.dataclass
class Server:
    """A web server on this machine: what it sends, how slowly, and how often it was asked."""

    content: bytes
    address: str = ""
    status: int = 200
    pause: float = 0.0
    promised: int = 0
    asked: int = 0


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server(packed())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            self.send_response(state.status)
            self.send_header("Content-Length", str(state.promised or len(state.content)))
            self.end_headers()
            half = len(state.content) // 2
            self.wfile.write(state.content[:half])
            self.wfile.flush()
            time.sleep(state.pause)
            self.wfile.write(state.content[half:])

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that was killed
        state.address = f"http://127.0.0.1:{listening.server_address[1]}/toy.zip"
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield state
        listening.shutdown()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("COFACTOR_DATA", str(folder))
    return folder


@pytest.fixture
def toy(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A catalogue entry that the local server serves."""
    entry = Dataset(
        name="toy-set", title="Toy", subject="", users=3, items=2, ratings=6, licence="Toys are 100 % free.",
        readme="", url=server.address, download_bytes=len(server.content), folder="toy", ratings_file="u.data",
        items_file="u.item", md5=hashlib.md5(server.content).hexdigest(),
    )  # fmt: skip
    use(entry, monkeypatch)
    return entry


def test_a_set_in_another_layout_takes_an_entry_alone(
    toy: Dataset, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = {"user": "who", "item": "what", "value": "stars", "time": None, "columns": ["who", "what", "stars", "at"]}
    entry = dataclasses.replace(toy, items_file="", reading={**reading, "has_header": False, "separator": "\t"})
    use(entry, monkeypatch)
    table = load_dataset("toy-set", notify=lambda _: None)
    assert len(table) == 6
    assert table.timestamps is None
    assert table.users.ids.to_list() == ["1", "2", "10"]


def use(entry: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_catalog", lambda: {entry.name: entry})


def left_in(cache: Path) -> list[str]:
    """Everything in the cache but the lock."""
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if not path.name.endswith(".lock"))


WHOLE = ["toy-set", "toy-set/u.data", "toy-set/u.item"]


def test_the_catalogue_holds_the_named_sets_over_https() -> None:
    names = ["ml-100k", "ml-latest-small", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m"]
    assert [entry.name for entry in datasets()] == names
    for entry in datasets():
        assert entry.url == f"https://files.grouplens.org/datasets/movielens/{entry.name}.zip"
        assert entry.title in entry.licence
        assert entry.readme in entry.licence
        assert "Harper" in entry.licence
        assert "\n" not in entry.licence
        assert len(entry.md5) == (0 if entry.name == "ml-latest-small" else 32)
        assert entry.ratings > entry.users > 0


def test_a_data_set_is_fetched_once_with_only_the_files_it_needs(toy: Dataset, server: Server, cache: Path) -> None:
    assert not toy.cached
    table = load_dataset("toy-set")
    assert (table.name, len(table), table.n_users) == ("toy-set", 6, 3)
    assert list(table.users) == ["1", "2", "10"]
    assert table.metadata.titles is not None
    assert table.metadata.titles.to_list() == ["Café (1995)", "Tea (1996)"]
    assert left_in(cache) == WHOLE
    assert not list(cache.parent.rglob("escaped"))
    assert toy.cached
    load_dataset("toy-set", ids="int")
    assert server.asked == 1


def test_the_licence_is_seen_before_the_first_download_and_only_then(
    toy: Dataset, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, int]] = []
    load_dataset("toy-set", notify=lambda text: told.append((text, server.asked)))
    load_dataset("toy-set", notify=lambda text: told.append((text, server.asked)))
    assert told == [(toy.licence, 0)]
    assert not caplog.records


def test_without_a_callback_the_licence_is_a_warning(toy: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    load_dataset("toy-set")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.WARNING, toy.licence)]


def test_a_progress_bar_is_drawn_only_when_asked_for(toy: Dataset, capfd: pytest.CaptureFixture[str]) -> None:
    load_dataset("toy-set", progress=True)
    captured = capfd.readouterr()
    assert "Toy" in captured.err
    assert captured.out == ""


def test_the_cache_is_moved_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COFACTOR_DATA", str(tmp_path / "moved"))
    assert cache_folder() == tmp_path / "moved"
    assert scratch_folder() == tmp_path / "moved" / "interactions"
    monkeypatch.delenv("COFACTOR_DATA")
    assert cache_folder().parts[-2:] == ("cofactor", "datasets")
    assert scratch_folder() == cache_folder() / "interactions"


@pytest.mark.parametrize("folder", ["toy-set", "toy"])
def test_files_put_there_by_hand_are_used_in_silence(
    folder: str, toy: Dataset, server: Server, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (cache / folder).mkdir(parents=True)
    (cache / folder / "u.data").write_text(RATINGS)
    assert len(load_dataset("toy-set")) == 6
    assert dataset_files("toy-set").items is None
    assert server.asked == 0
    assert not caplog.records
    assert left_in(cache) == [folder, f"{folder}/u.data"]


def test_a_cached_set_touches_no_network(toy: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    load_dataset("toy-set")

    def no_network(*_: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setattr(subprocess, "run", no_network)
    assert len(load_dataset("toy-set")) == 6


def test_offline_without_a_cache_says_what_to_do(toy: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(dataclasses.replace(toy, url="http://127.0.0.1:9/toy.zip"), monkeypatch)
    start = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        load_dataset("toy-set")
    assert time.monotonic() - start < 5
    text = str(caught.value)
    for part in ("http://127.0.0.1:9/toy.zip", "refused", str(cache / "toy-set.zip"), "COFACTOR_DATA", "synthetic:"):
        assert part in text
    assert left_in(cache) == []


def test_a_name_that_does_not_resolve_is_told_shortly(toy: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    use(dataclasses.replace(toy, url="http://no.such.host.invalid/toy.zip"), monkeypatch)
    with pytest.raises(DownloadError, match=r"cannot be downloaded \("):
        load_dataset("toy-set")


def test_a_file_that_does_not_verify_leaves_nothing(toy: Dataset, server: Server, cache: Path) -> None:
    server.content = packed(u_data=b"1\t1\t5\t1\n")
    with pytest.raises(DownloadError, match="failed verification: its md5 is"):
        load_dataset("toy-set")
    assert left_in(cache) == []
    server.content = packed()
    assert len(load_dataset("toy-set")) == 6


def test_a_page_in_place_of_the_zip_leaves_nothing(
    toy: Dataset, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(dataclasses.replace(toy, md5=""), monkeypatch)
    server.content = b"<html>Sign in to this network</html>"
    with pytest.raises(DownloadError, match="not the expected zip"):
        load_dataset("toy-set")
    assert left_in(cache) == []


def test_a_download_cut_short_leaves_nothing(toy: Dataset, server: Server, cache: Path) -> None:
    server.promised = len(server.content) + 1000
    with pytest.raises(DownloadError, match="toy-set is not on this machine"):
        load_dataset("toy-set")
    assert left_in(cache) == []


def test_a_server_error_leaves_nothing(toy: Dataset, server: Server, cache: Path) -> None:
    server.status = 503
    with pytest.raises(DownloadError, match="503"):
        load_dataset("toy-set")
    assert left_in(cache) == []


def test_a_zip_put_there_by_hand_is_unpacked_and_stays(toy: Dataset, server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "toy-set.zip").write_bytes(server.content)
    assert len(load_dataset("toy-set")) == 6
    assert server.asked == 0
    assert left_in(cache) == sorted([*WHOLE, "toy-set.zip"])


def test_a_folder_with_other_files_is_completed(toy: Dataset, cache: Path) -> None:
    (cache / "toy-set").mkdir(parents=True)
    (cache / "toy-set" / "notes.txt").write_text("mine")
    assert len(load_dataset("toy-set")) == 6
    assert left_in(cache) == sorted([*WHOLE, "toy-set/notes.txt"])


def test_a_cache_that_cannot_be_written_to_says_so(toy: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(DownloadError, match=r"cannot be written to \(no\): set COFACTOR_DATA to one that can"):
        load_dataset("toy-set")


def test_a_full_disk_says_so(toy: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.shutil, "copyfileobj", full)
    with pytest.raises(DownloadError, match=r"cannot be written to \(No space left on device\): set COFACTOR_DATA"):
        load_dataset("toy-set")
    assert left_in(cache) == []


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="nearest is 'ml-100k'"):
        load_dataset("ml100k")


CHILD = """
import dataclasses, sys
from cofactor.data import catalog
entry = catalog.Dataset(**eval(sys.argv[1]))
catalog._catalog = lambda: {entry.name: entry}
print(len(catalog.load_dataset("toy-set", notify=lambda text: None)), flush=True)
"""


def child(entry: Dataset) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, repr(dataclasses.asdict(entry))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill -9")
def test_a_download_that_is_killed_leaves_the_old_state_and_the_next_one_works(
    toy: Dataset, server: Server, cache: Path
) -> None:
    server.pause = 30
    process = child(toy)
    deadline = time.monotonic() + 20
    while not (server.asked and list(cache.glob(".toy-set.*.part/download.zip"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.asked == 1
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (cache / "toy-set").exists()
    assert list(cache.glob(".toy-set.*.part"))
    server.pause = 0
    assert len(load_dataset("toy-set")) == 6
    assert left_in(cache) == WHOLE


def test_two_processes_at_once_fetch_it_once(toy: Dataset, server: Server, cache: Path) -> None:
    server.pause = 0.5
    processes = [child(toy), child(toy)]
    assert [process.communicate(timeout=30)[0].strip() for process in processes] == ["6", "6"]
    assert server.asked == 1
    assert left_in(cache) == WHOLE


INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
FILM = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
PEOPLE = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n1\t24\tM\ttechnician\t85711\n"
FILMS = {
    "1\tToy Story\t1995\tAnimation Children's Comedy": ("1", "Toy Story (1995)", "Animation|Children's|Comedy", 1995),
    "267\tunkonwn\tunkonwn\tunknown": ("267", "unknown", "unknown", None),
    "1412\tThe Land (1995)\tV\tDrama": ("1412", "The Land (1995) (V)", "Drama", 1995),
    "1623\tCérémonie, La\t1995\tFilm-Noir Sci-Fi": ("1623", "Cérémonie, La (1995)", "Film-Noir|Sci-Fi", 1995),
}


def wheel(inter: str = INTER, film: str = FILM) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("recbole/dataset_example/ml-100k/ml-100k.inter", inter + RATINGS)
        archive.writestr("recbole/dataset_example/ml-100k/ml-100k.item", film + "\n".join(FILMS) + "\n")
        archive.writestr("recbole/dataset_example/ml-100k/ml-100k.user", PEOPLE)
    return buffer.getvalue()


@pytest.fixture
def package(toy: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let the zip be out of reach and pip bring a made-up wheel; returns the commands that were run."""
    sha256 = hashlib.sha256(RATINGS.encode()).hexdigest()
    entry = dataclasses.replace(toy, url="http://127.0.0.1:9/", package="toy==1", ratings_sha256=sha256)
    use(dataclasses.replace(entry, users_file="u.user"), monkeypatch)
    return run_as_pip(monkeypatch, wheel())


def run_as_pip(monkeypatch: pytest.MonkeyPatch, content: bytes, error: str = "") -> list[list[str]]:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        commands.append(command)
        folder = Path(command[command.index("-d") + 1])
        folder.mkdir()
        if content:
            (folder / "toy-1-py3-none-any.whl").write_bytes(content)
        return subprocess.CompletedProcess(command, bool(error), "", error)

    monkeypatch.setattr(download.subprocess, "run", run)
    return commands


def test_the_second_source_is_used_when_the_first_is_out_of_reach(package: list[list[str]], cache: Path) -> None:
    table = load_dataset("toy-set")
    assert len(table) == 6
    assert dataset_files("toy-set").ratings.read_text() == RATINGS
    assert left_in(cache) == [*WHOLE, "toy-set/u.user"]
    assert table.user_table.row(0) == ("1", 24, "M", "technician", "85711")
    (command,) = package
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert command[-1] == "toy==1"
    assert "--no-deps" in command


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (wheel(inter="other\theader\n"), "", "in another layout than expected"),
        (wheel(film="other\theader\n"), "", "in another layout than expected"),
        (b"no wheel", "", "does not hold MovieLens 100K"),
        (b"", "", "brought 0 wheels"),
        (b"", "ERROR: No matching distribution found for toy==1\n", "No matching distribution"),
        (b"", "/usr/bin/python: No module named pip\n", "pip is not installed"),
        (wheel(inter=INTER + "1\t1\t1\t1\n"), "", "failed verification"),
    ],
)
def test_a_second_source_that_fails_leaves_nothing(
    content: bytes, error: str, says: str, package: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_as_pip(monkeypatch, content, error)
    with pytest.raises(DownloadError, match=says) as caught:
        load_dataset("toy-set")
    assert "http://127.0.0.1:9/" in str(caught.value)
    assert left_in(cache) == []


def test_a_registry_that_hangs_is_given_up(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(download.subprocess, "run", run)
    with pytest.raises(DownloadError, match="took over 300 seconds"):
        load_dataset("toy-set")


def test_the_films_of_the_second_source_read_like_those_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "toy.whl").write_bytes(wheel())
    download.write_from_recbole(tmp_path / "toy.whl", *(tmp_path / name for name in ("u.data", "u.item", "u.user")))
    assert read_items(tmp_path / "u.item").rows() == list(FILMS.values())
    assert "Cérémonie".encode("latin-1") in (tmp_path / "u.item").read_bytes()


def test_a_damaged_cache_is_a_data_error_that_names_the_file(toy: Dataset, cache: Path) -> None:
    load_dataset("toy-set")
    (cache / "toy-set" / "u.data").write_bytes(b"")
    with pytest.raises(DataError, match=r"u\.data is empty"):
        load_dataset("toy-set")


@pytest.mark.network
def test_the_real_ml_100k_comes_from_either_source(cache: Path) -> None:
    try:
        files = dataset_files("ml-100k", notify=lambda text: None)
    except DownloadError as error:
        pytest.skip(f"neither GroupLens nor a package registry can be reached: {error}")
    entry = next(entry for entry in datasets() if entry.name == "ml-100k")
    assert hashlib.sha256(files.ratings.read_bytes()).hexdigest() == entry.ratings_sha256
    table = read_movielens(files.ratings)
    assert table.user_table.row(0) == ("1", 24, "M", "technician", "85711")
    assert table.item_table.columns == ["item", "title", "genres", "year"]
    assert (table.n_users, table.n_items, len(table)) == (entry.users, entry.items, entry.ratings)
    assert list(table.users)[:3] == ["1", "2", "3"]
    assert table.to_frame().row(0) == ("196", "242", 3.0, 881250949, "Kolya (1996)")
    assert table.metadata.genres is not None
    assert table.metadata.genres[0] == "Animation|Children's|Comedy"

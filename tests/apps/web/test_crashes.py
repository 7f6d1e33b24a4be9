"""A worker that ends comes back with the last sound model, whatever has become of the model's file."""

import contextlib
import os
import shutil
import signal
import time

import pytest
from websupport import until, workers


def digest(service):
    return service.ask("GET", "/v1/model")[1]["model"]


def answers(service):
    try:
        return service.ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def spoil(path, how):
    if how == "garbage":
        path.write_bytes(b"garbage")
    elif how == "cut off":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.unlink()


@pytest.fixture
def served(models, tmp_path):
    return shutil.copy(models["ranking"], tmp_path / "served.safetensors")


@pytest.mark.parametrize("how", ["garbage", "cut off", "gone"])
def test_after_a_refused_reload_a_crash_does_not_end_the_service(serve, models, served, tmp_path, how):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    service = serve(served, environment={"TMPDIR": str(temporary)})
    before = digest(service)
    assert service.put("ann", "i1", 5)[0] == 200
    spoil(served, how)
    assert service.ask("POST", "/v1/admin/reload")[0] == 409
    for _ in range(2):
        os.kill(workers(service)[0], signal.SIGKILL)
        until(lambda: answers(service))
        assert digest(service) == before
        assert service.ratings("ann") == {"i1": 5.0}
    shutil.copy(models["other"], served)
    assert service.ask("POST", "/v1/admin/reload")[1]["changed"] is True
    assert '"event": "spare_model"' in service.log()
    assert service.stop() == 0
    assert list(temporary.iterdir()) == []


def test_without_a_reload_the_other_worker_hands_its_model_on(serve, served):
    service = serve(served, "--workers", "2")
    until(lambda: len(workers(service)) == 2)
    before = digest(service)
    spoil(served, "garbage")
    first = workers(service)
    os.kill(first[0], signal.SIGKILL)
    until(lambda: '"event": "spare_model"' in service.log())
    until(lambda: answers(service))
    assert {digest(service) for _ in range(16)} == {before}
    assert service.process.poll() is None
    assert first[1] in workers(service)


def test_a_lone_worker_waits_for_a_sound_file(serve, models, served):
    service = serve(served)
    before = digest(service)
    spoil(served, "garbage")
    os.kill(workers(service)[0], signal.SIGKILL)
    until(lambda: '"event": "model_awaited"' in service.log())
    time.sleep(3)
    assert service.process.poll() is None
    shutil.copy(models["ranking"], served)
    until(lambda: answers(service))
    assert digest(service) == before
    assert service.stop() == 0


def test_where_nothing_can_be_kept_a_refused_reload_is_still_only_refused(serve, served, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    service = serve(served, environment={"TMPDIR": str(temporary)})
    shutil.rmtree(temporary)
    temporary.touch()  # a file, in which there can be no folder
    spoil(served, "garbage")
    assert service.ask("POST", "/v1/admin/reload")[0] == 409
    assert "cannot be kept" in service.log()
    assert answers(service)


def test_workers_that_are_killed_again_and_again_come_back(serve, served):
    service = serve(served, "--workers", "2")
    assert service.put("ann", "i1", 5)[0] == 200
    for turn in range(6):
        for pid in workers(service)[turn % 2 :]:  # one of them, or both at once
            with contextlib.suppress(ProcessLookupError):  # it was just ending
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.3 * (turn % 3))  # sometimes before another has started
    until(lambda: answers(service))
    assert service.ratings("ann") == {"i1": 5.0}
    assert service.process.poll() is None
    until(lambda: len(workers(service)) == 2)
    assert '"event": "worker_ended"' in service.log()
    assert service.stop() == 0


def test_a_worker_killed_just_before_the_end_does_not_make_it_a_failure(serve, served):
    service = serve(served)
    os.kill(workers(service)[0], signal.SIGKILL)
    assert service.stop() == 0

"""A model is what its path says now: links, folders that are swapped, odd names; and its ratings stay with the path."""

import shutil

import pytest
from clisupport import run

import cofactor as cf
from cofactor.apps.web import served_model
from cofactor.apps.web.served_model import ModelHolder
from cofactor.files import replacing


@pytest.fixture
def versions(models, tmp_path):
    """Two folders, each with another model of one name, as a deployment lays them out."""
    for version, name in (("..2026_01", "ranking"), ("..2026_02", "other")):
        (tmp_path / version).mkdir()
        shutil.copy(models[name], tmp_path / version / "m.safetensors")
    return tmp_path


def point(link, target):
    """Let a link point elsewhere, in one step."""
    beside = link.with_name(f"{link.name}.new")
    beside.symlink_to(target)
    beside.replace(link)


def digest(service):
    return service.ask("GET", "/v1/model")[1]["model"]


LAYOUTS = {
    "a link to the file": ("m.safetensors", lambda v: f"{v}/m.safetensors", "m.safetensors"),
    "a link to its folder": ("current", lambda v: v, "current/m.safetensors"),
    "Kubernetes' ..data": ("..data", lambda v: v, "m.safetensors"),
    "a link to a link": ("one", lambda v: f"{v}/m.safetensors", "two.safetensors"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_switched_link_is_followed_and_keeps_its_ratings(serve, versions, layout):
    name, target, path = LAYOUTS[layout]
    (versions / name).symlink_to(target("..2026_01"))
    if layout == "Kubernetes' ..data":
        (versions / path).symlink_to("..data/m.safetensors")
    if layout == "a link to a link":
        (versions / path).symlink_to(name)
    moves = layout == "a link to its folder"  # and with it what is beside the model
    service = serve(versions / path, ratings=None if moves else "")
    first = digest(service)
    assert service.put("ann", "i1", 5)[0] == 200
    point(versions / name, target("..2026_02"))
    shutil.rmtree(versions / "..2026_01")
    status, document = service.ask("POST", "/v1/admin/reload")
    assert (status, document["changed"]) == (200, True)
    assert digest(service) != first
    assert service.ratings("ann") == {"i1": 5.0}
    service.stop()
    service.start()
    assert service.ratings("ann") == {"i1": 5.0}
    store = versions / "ratings.db" if moves else (versions / path).with_suffix(".ratings.db")
    assert f'"ratings": "sqlite:///{store}"' in service.log()


def test_refit_through_a_link_replaces_what_it_points_to(serve, versions):
    link = versions / "m.safetensors"
    link.symlink_to("..2026_01/m.safetensors")
    service = serve(link, ratings="")
    before = digest(service)
    assert service.put("ann", "i1", 5)[0] == 200
    run("refit", link, "-o", link)
    assert link.is_symlink()
    assert service.ask("POST", "/v1/admin/reload")[1]["changed"] is True
    assert digest(service) == cf.load(versions / "..2026_01" / "m.safetensors").digest != before


@pytest.mark.parametrize("name", ["a?b=c#d.safetensors", "50%2F50.safetensors", "é ☕.safetensors", "no suffix"])
def test_a_service_and_a_refit_agree_on_the_store_of_a_model_of_any_name(serve, models, tmp_path, name):
    model = shutil.copy(models["ranking"], tmp_path / name)
    service = serve(model, ratings="")
    assert service.put("ann", "i1", 5)[0] == 200
    run("refit", model, "-o", tmp_path / "new.safetensors")
    assert "ann" in cf.load(tmp_path / "new.safetensors").users


def test_a_relative_path_with_points_is_kept(models, tmp_path, monkeypatch, serve):
    (tmp_path / "in").mkdir()
    shutil.copy(models["ranking"], tmp_path / "m.safetensors")
    monkeypatch.chdir(tmp_path / "in")
    service = serve("../m.safetensors", ratings="")
    assert service.put("ann", "i1", 5)[0] == 200
    assert (tmp_path / "m.ratings.db").exists()


def test_a_load_reads_one_version_even_if_the_link_is_switched_meanwhile(versions, monkeypatch):
    link = versions / "current"
    link.symlink_to("..2026_01")
    loaded, load = [], served_model.load
    monkeypatch.setattr(served_model, "load", lambda path: (loaded.append(path), load(path))[1])
    holder = ModelHolder(link / "m.safetensors")
    point(link, "..2026_02")
    holder.reload()
    assert [path.parent.name for path in loaded] == ["..2026_01", "..2026_02"]


def test_a_file_that_is_replaced_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/file")
    for text in ("one", "two"):  # the first makes the file
        with replacing(tmp_path / "link") as beside:
            beside.write_text(text)
        assert str((tmp_path / "link").readlink()) == "folder/file"
        assert (tmp_path / "folder" / "file").read_text() == text
    assert [file.name for file in (tmp_path / "folder").iterdir()] == ["file"]

"""The list of face models: names, what is missing, loading by name."""

import pytest

from facelume.errors import AssetError, UsageError
from facelume.face_model.licensed.source import FaceModelSource
from facelume.face_model.sources import face_model_sources, load_face_model

NAMES = ("open", "bfm2009", "bfm2017", "bfm2019", "flame2020", "flame2023", "ict")


def test_every_model_is_listed_with_licence_and_origin():
    sources = face_model_sources()
    assert tuple(source.name for source in sources) == NAMES
    assert [source.name for source in sources if source.is_included] == ["open"]
    for source in sources[1:]:
        assert source.url.startswith("https://")
        assert source.licence
        assert source.summary
        assert all(source.file_sets)


def test_the_open_model_loads_by_name():
    assert load_face_model("open").name == "open"


def test_an_unknown_name_is_a_usage_error():
    with pytest.raises(UsageError, match=r"no face model named 'bfm'.*bfm2009"):
        load_face_model("bfm")


@pytest.mark.parametrize("name", NAMES[1:])
def test_an_absent_model_says_which_files_from_where_to_where(name, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELUME_MODELS", str(tmp_path))
    source = next(s for s in face_model_sources() if s.name == name)
    with pytest.raises(AssetError) as caught:
        load_face_model(name)
    message = str(caught.value)
    assert str(tmp_path / name) in message
    assert source.url in message
    assert "FACELUME_MODELS" in message
    assert all(file in message for file in source.missing())
    assert source.missing() == source.file_sets[0]


SOURCE = FaceModelSource("two", "", "", "https://example.org", (("a", "b or B", "c"), ("d",)), ("extra",))


def test_the_nearest_complete_set_is_what_is_missing(tmp_path):
    assert SOURCE.missing(tmp_path) == ("a", "b or B", "c")
    (tmp_path / "a").touch()
    assert SOURCE.missing(tmp_path) == ("b or B", "c")
    (tmp_path / "B").touch()
    assert SOURCE.missing(tmp_path) == ("c",)
    with pytest.raises(AssetError, match=r"lacks c in .*\(or instead: d\)"):
        SOURCE.locate(tmp_path)
    (tmp_path / "d").touch()
    assert SOURCE.missing(tmp_path) == ()
    assert SOURCE.locate(tmp_path) == {name: tmp_path / name for name in ("a", "B", "d")}


def test_files_may_stand_in_subfolders_of_the_models_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELUME_MODELS", str(tmp_path))
    inner = tmp_path / "two" / "release" / "d"
    inner.parent.mkdir(parents=True)
    inner.touch()
    (tmp_path / "two" / "extra").touch()
    assert SOURCE.locate() == {"d": inner, "extra": tmp_path / "two" / "extra"}


def test_the_default_folder_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("FACELUME_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SOURCE.folder() == tmp_path / ".cache" / "facelume" / "models" / "two"

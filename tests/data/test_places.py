from pathlib import Path

from facelume.data.places import FOLDER_VARIABLE, name_of, place_of


def test_without_the_variable_paths_are_what_they_say(monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    for name in ("data/faces", "runs/crops", "/abs/data/faces"):
        assert place_of(name) == Path(name)
        assert name_of(place_of(name)) == name


def test_the_variable_stands_for_data_alone(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert place_of("data/faces/london") == tmp_path / "faces" / "london"
    assert place_of("data") == tmp_path
    for name in ("runs/data/faces", "database/faces", "/abs/data/faces", "../data/faces"):
        assert place_of(name) == Path(name)


def test_names_are_the_inverse_of_places(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "elsewhere"))
    for name in ("data/faces", "data", "runs/crops", "/abs/data/faces"):
        assert name_of(place_of(name)) == name

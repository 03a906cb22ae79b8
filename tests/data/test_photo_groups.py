"""Photos of one person share a number and lie on one side of the split."""

from pathlib import Path

import numpy as np
import pytest

from facelume.data.photo_groups import load_photo_groups
from facelume.data.photos import PhotoRecord
from facelume.data.split import is_validation
from facelume.errors import UsageError

HELD_OUT = next(f"{number}.jpg" for number in range(100) if is_validation("aaf", f"{number}.jpg"))
LEARNED = [f"{number}.jpg" for number in range(100) if not is_validation("aaf", f"{number}.jpg")][:4]


def record(name: str, photo_set: str = "aaf") -> PhotoRecord:
    return PhotoRecord(photo_set, Path(name), None, np.zeros((478, 3)))


def test_a_group_shares_a_number_and_goes_to_validation_as_a_whole(tmp_path):
    path = tmp_path / "groups.csv"
    rows = [("a", HELD_OUT), ("a", LEARNED[0]), ("b", LEARNED[1]), ("b", LEARNED[2])]
    path.write_text("set,group,name\n" + "".join(f"aaf,{group},{name}\n" for group, name in rows))
    groups = load_photo_groups(path)
    assert len(groups) == 2
    assert groups.person(record(LEARNED[1])) == groups.person(record(LEARNED[2]))
    people = {groups.person(record(name)) for name in (HELD_OUT, *LEARNED[1:])}
    assert len(people) == 3
    assert all(0 <= person < 2**63 for person in people)
    sides = [groups.is_validation(record(name)) for name in (HELD_OUT, *LEARNED)]
    assert sides == [True, True, False, False, False]
    assert groups.person(record(LEARNED[1], "scut")) != groups.person(record(LEARNED[1]))


def test_without_a_file_every_photo_stands_alone():
    groups = load_photo_groups(None)
    assert len(groups) == 0
    assert groups.is_validation(record(HELD_OUT))
    assert groups.person(record("001_neutral.jpg", "london")) == groups.person(
        record("001_smile.jpg", "london")
    )


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_photo_groups(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("photo,person\n1.jpg,2\n")
    with pytest.raises(UsageError, match="columns set, group, name"):
        load_photo_groups(tmp_path / "other.csv")

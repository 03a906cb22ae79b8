import hashlib

from facelume.data.split import is_validation, person_of


def test_london_photos_of_one_person_share_a_side():
    assert person_of("london", "001_neutral.jpg") == "london/001" == person_of("london", "001_smiling.jpg")
    for number in range(1, 80):
        sides = {is_validation("london", f"{number:03d}_{mood}.jpg") for mood in ("neutral", "smiling")}
        assert len(sides) == 1


def test_split_is_the_hash_of_set_and_stem():
    digest = int(hashlib.sha256(b"utkface/00000").hexdigest(), 16)
    assert is_validation("utkface", "00000.jpg") == (digest % 10 == 0)


def test_about_a_tenth_is_held_out():
    share = sum(is_validation("scut", f"{number:05d}.jpg") for number in range(4000)) / 4000
    assert 0.08 < share < 0.12

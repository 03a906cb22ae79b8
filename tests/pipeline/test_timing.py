import time

import pytest

from facelume.pipeline.timing import StageTimer


def test_a_stage_that_is_entered_twice_is_summed_and_keeps_its_place() -> None:
    timer = StageTimer()
    for name in ("read", "fit", "read"):
        with timer.stage(name):
            time.sleep(0.01)
    assert list(timer.seconds) == ["read", "fit"]
    assert timer.seconds["read"] >= 0.02
    assert timer.seconds["fit"] >= 0.01


def test_time_up_to_an_error_is_booked_and_time_outside_of_stages_is_not() -> None:
    def fail() -> None:
        with timer.stage("read"):
            time.sleep(0.01)
            raise ValueError("broken")

    timer = StageTimer({"read": 1.0})
    time.sleep(0.3)
    with pytest.raises(ValueError, match="broken"):
        fail()
    assert 1.01 <= timer.seconds["read"] < 1.3

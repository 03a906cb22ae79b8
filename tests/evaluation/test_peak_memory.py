"""Peak memory on each kind of system."""

import resource
import sys
from pathlib import Path

import pytest

from facelume.evaluation.peak_memory import peak_memory_bytes


def test_the_peak_is_that_of_the_kernel() -> None:
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("this system has no /proc")
    peak = peak_memory_bytes()
    assert peak is not None
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    assert peak == pytest.approx(int(line.split()[1]) * 1024, rel=0.02)


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("freebsd14", 1024), ("darwin", 1)])
def test_each_system_counts_in_its_own_unit(monkeypatch: pytest.MonkeyPatch, system: str, unit: int) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert peak_memory_bytes() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_a_system_without_the_module_reports_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory_bytes() is None

"""search.bench.memory: the memory of this process."""

from search.bench.memory import ProcessMemory, peak_megabytes, process_memory


def test_the_peak_is_at_least_what_is_in_memory() -> None:
    memory = process_memory()
    assert 0 < memory.mapped_mb < memory.resident_mb <= memory.peak_mb * 1.05
    assert memory.peak_mb <= round(peak_megabytes(), 1)


def test_what_the_system_does_not_tell_is_left_out() -> None:
    assert ProcessMemory(50.0).as_dict() == {"peak_mb": 50.0}
    full = {"peak_mb": 50.0, "resident_mb": 40.0, "mapped_mb": 30.0}
    assert ProcessMemory(50.0, 40.0, 30.0).as_dict() == full

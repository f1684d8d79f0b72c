"""The short form of the soak with failed and killed calls, and that it can fail."""

import re
import subprocess
import sys
from pathlib import Path

from experiments.soak.failed_calls import FAULTS, Outcome, disturb, run_undisturbed
from experiments.soak.operations import OPERATIONS, Operation, Place, State
from indexer.storage.atomic_files import explain_disk_errors, write_text_durably

# A prime, so that the faults are spread over all kinds of calls.
EVERY = 67


def test_nothing_is_lost_whichever_call_fails() -> None:
    # A process of its own has none of the threads of this one, which a forked child would wait for.
    command = [sys.executable, "-m", "experiments.soak.failed_calls", "--every", str(EVERY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    *lines, summary = done.stdout.splitlines()
    found = re.fullmatch(r"(\d+) calls of 10 operations failed or killed: 0 losses, 0 tracebacks", summary)
    assert found is not None, done.stdout + done.stderr
    counts = {name: int(count) for name, _, count in (line.rpartition(" ") for line in lines)}
    assert sum(counts.values()) == int(found[1]) >= 60
    assert {name.partition(":")[0] for name in counts} == set(OPERATIONS)
    assert {name.rpartition(" ")[2] for name in counts} == {"done", "refused", "killed"}
    assert done.returncode == 0


def operation(run: object) -> Operation:
    """Return an operation that replaces the text of a file."""

    def prepare(place: Place) -> None:
        (place.written / "file").write_text("old")

    def read(place: Place) -> State:
        return {"text": (place.written / "file").read_bytes()}

    return Operation(prepare, run, read, lambda _place: [], in_one_step=True)  # type: ignore[arg-type]


def disturbed(tried: Operation, scratch: Path) -> tuple[Outcome, int]:
    """Try all faults at all calls; return what happened and how many calls there are."""
    outcome = Outcome()
    undisturbed = run_undisturbed("replace", tried, scratch)
    for fault in FAULTS:
        for number in range(undisturbed.calls):
            disturb(undisturbed, tried, fault, number, outcome)
    return outcome, undisturbed.calls


def test_an_operation_that_loses_something_is_noticed(tmp_path: Path) -> None:
    outcome, calls = disturbed(operation(lambda place: (place.written / "file").write_text("new")), tmp_path)
    assert calls == 2  # it truncates, then writes
    # Closing the file tries a failed write again, so that only a kill loses the text.
    assert outcome.losses == ["replace, kill at call 1, write of file: not a state of an undisturbed run: text"]
    assert [line.partition(":")[0] for line in outcome.tracebacks] == [
        f"replace, {fault} at call {call} of file"
        for fault in ("EIO", "ENOSPC")
        for call in ("0, truncate", "1, write")
    ]
    assert "OSError: [Errno 28] No space left on device" in outcome.tracebacks[2]


def test_an_operation_that_replaces_in_one_step_loses_nothing(tmp_path: Path) -> None:
    def careful(place: Place) -> None:
        with explain_disk_errors(place.written):
            write_text_durably(place.written / "file", "new")

    outcome, calls = disturbed(operation(careful), tmp_path)
    assert (outcome.losses, outcome.tracebacks) == ([], [])
    # The last call is the fsync of the folder: the file has its new text then, and the line says that it failed.
    assert outcome.counts == {
        "replace: EIO refused": calls,
        "replace: ENOSPC refused": calls,
        "replace: kill killed": calls,
    }


def test_what_is_left_behind_is_noticed(tmp_path: Path) -> None:
    def careless(place: Place) -> None:
        if (place.written / "file").read_text() == "new":
            return
        (place.written / "old").write_text("old")
        write_text_durably(place.written / "file", "new")
        (place.written / "old").unlink()

    outcome, calls = disturbed(operation(careless), tmp_path)
    line = f"replace, kill at call {calls - 1}, unlink of old, then run again: files differ: ['old'] more, [] missing"
    assert line in outcome.losses

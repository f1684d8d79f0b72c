"""Cut the power at a random call of each operation on an index, and see what is there when it comes back.

    python -m experiments.soak.power_cuts [--count 200] [--seed 0]

The calls by which an operation changes files are recorded once. A cut replays those before it, as `recorded_disk.py`
says. Wanted: nothing that a transaction had committed is lost, the index is whole, and the operation, run again, ends
as the undisturbed one.
"""

import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from experiments.soak.operations import OPERATIONS, Operation, Place, State, index_problems, small_scale, work_of
from experiments.soak.recorded_disk import RecordedDisk
from experiments.soak.system_calls import HAPPEN, MARK, Call, watch
from indexer.errors import PhotoseekError
from photoseek.progress.console import progress_bar


@dataclass(frozen=True, slots=True)
class Recording:
    """Record of an undisturbed operation.

    Attributes:
        photos: The photos that it worked on.
        before: A copy of the folder that it wrote below, as it was before.
        calls: What changed files, in order; an fsync of a file has its bytes as data.
        marks: How many calls there had been at each mark.
        states: What was there before, at each mark, and after.
    """

    photos: Path
    before: Path
    calls: list[Call]
    marks: list[int]
    states: list[State]


def record(operation: Operation, top: Path) -> Recording:
    """Run an operation undisturbed, in a new folder.

    Args:
        operation: What is run.
        top: A folder that does not exist; all is written below it.

    Raises:
        RuntimeError: The operation fails even so.
    """
    place = Place(top / "photos", top / "written")
    place.written.mkdir(parents=True)
    operation.prepare(place)
    before = top / "before"
    shutil.copytree(place.written, before)
    recording = Recording(place.photos, before, [], [], [operation.read(place)])

    def decide(call: Call) -> int:
        if call.name == MARK:
            recording.marks.append(len(recording.calls))
            recording.states.append(_state_of_copy(operation, place, top / "marked"))
        elif call.name == "fsync" and Path(call.path).is_file():
            recording.calls.append(Call("fsync", call.path, data=Path(call.path).read_bytes()))
        else:
            recording.calls.append(call)
        return HAPPEN

    ending = watch(work_of(operation, place), place.written, decide)
    if ending.kind != "done":
        raise RuntimeError(f"the undisturbed operation: {ending.said}")
    recording.states.append(operation.read(place))
    return recording


def _state_of_copy(operation: Operation, place: Place, copy: Path) -> State:
    """Return what is there while the operation is stopped, without opening its own files."""
    shutil.copytree(place.written, copy)
    try:
        return operation.read(Place(place.photos, copy))
    finally:
        shutil.rmtree(copy)


def losses_of_cut(operation: Operation, recording: Recording, at: int, draw: random.Random) -> list[str]:
    """Cut the power before a call, and return what is wrong then, a line each.

    Args:
        operation: What was recorded.
        recording: Its recording.
        at: How many calls happen before the cut.
        draw: Draws what of the unsynced survives.
    """
    written = recording.before.parent / "written"
    shutil.rmtree(written)
    disk = RecordedDisk(recording.before, written)
    for call in recording.calls[:at]:
        disk.apply(call)
    disk.write_survivors(draw)
    place = Place(recording.photos, written)
    committed = sum(mark <= at for mark in recording.marks)
    try:
        losses = _lost(operation, operation.read(place), recording.states, committed) + operation.problems(place)
        operation.run(place)
        if operation.read(place) != recording.states[-1]:
            losses.append("run again, it ends otherwise")
        again = operation.problems(place) + (index_problems(place) if place.index.exists() else [])
        return losses + [f"run again: {problem}" for problem in again]
    except PhotoseekError as error:
        return [f"refused: {error}"]
    except Exception as error:
        return [f"traceback: {error!r}"]


def _lost(operation: Operation, state: State, states: list[State], committed: int) -> list[str]:
    """Compare what is there with what had been committed before the cut, and with what came later."""
    if operation.in_one_step and state not in (states[0], states[-1]):
        return ["neither the state before nor the one after"]
    later = states[committed:]
    names = set().union(*(one or {} for one in [state, *later]))
    return [
        f"{Path(name).name} is not as committed, nor as later"
        for name in sorted(names)
        if (state or {}).get(name) not in [(one or {}).get(name) for one in later]
    ]


def run_cuts(names: list[str], count: int, seed: int, on_done: Callable[[int, int], None]) -> list[str]:
    """Cut the power in operations by turns, and return a line for each loss.

    Args:
        names: Names in `OPERATIONS`.
        count: How many cuts in all.
        seed: The seed of the draws.
        on_done: Gets (done, count).
    """
    draw, losses = random.Random(seed), []
    with tempfile.TemporaryDirectory() as scratch, small_scale():
        recordings = {name: record(OPERATIONS[name], Path(scratch) / name.replace(" ", "-")) for name in names}
        for number in range(count):
            name = names[number % len(names)]
            at = draw.randint(0, len(recordings[name].calls))
            found = losses_of_cut(OPERATIONS[name], recordings[name], at, draw)
            losses += [f"{name}, cut after {at} of {len(recordings[name].calls)} calls: {loss}" for loss in found]
            on_done(number + 1, count)
    return losses


@click.command()
@click.option("--count", default=200, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(count: int, seed: int) -> None:
    """Cut the power during every operation, and print what was lost."""
    with progress_bar("power cuts", quiet=False) as on_done:
        losses = run_cuts(list(OPERATIONS), count, seed, on_done)
    for loss in losses:
        click.echo(loss)
    click.echo(f"seed {seed}, {count} power cuts in {len(OPERATIONS)} operations: losses {len(losses)}")
    raise SystemExit(bool(losses))


if __name__ == "__main__":
    main()

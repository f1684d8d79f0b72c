"""Fail, or kill before, each system call by which an operation changes a file; see that nothing is lost.

    python -m experiments.soak.failed_calls [--every 1]

Every operation that writes an index or a ranker is run on a small one again and again: its n-th call fails with EIO, or
with ENOSPC, or the process is killed before it, for all n. Wanted each time: what was committed is there, to the byte;
`verify` finds nothing; the state is one that an undisturbed run goes through, too; a failed operation ends in one line,
and run again, it gives what an undisturbed one gives.
"""

import errno
import re
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import click

from experiments.soak.operations import (
    OPERATIONS,
    Operation,
    Place,
    State,
    index_problems,
    ranker_problems,
    small_scale,
    work_of,
)
from experiments.soak.system_calls import HAPPEN, KILL, MARK, Call, watch
from photoseek.progress.console import progress_bar

FAULTS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "kill": KILL}
PROCESSES = 2
# Calls that are tried in one go by a process.
CHUNK = 8
# Files that come and go with locks and readers, that the next write of them replaces, and what a killed save of a
# ranker leaves beside it.
PASSING = re.compile(r"-shm$|-wal$|\.lock$|\.seal$|writer\.json$|/\.digests-\d+\.bin$|^\.ranker-")
# What the name of a view, and of a ranker's weights, has of its own each time.
OWN_NAMES = re.compile(r"(?<=^index/views/[0-9a-f]{12})-[^/]+|(?<=^ranker/weights)-2")


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """Record of an operation that nothing disturbed.

    Attributes:
        name: The operation.
        photos: The folder of its photos.
        prepared: What the written folder held before.
        calls: How many calls it made.
        states: What was there before, and at each mark, the last of them at the end.
        files: The names of the files at the end.
    """

    name: str
    photos: Path
    prepared: Path
    calls: int
    states: tuple[State, ...]
    files: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """Record of what happened so far.

    Attributes:
        counts: How often, by operation, fault and ending.
        losses: A line for each fault after which something was lost, wrong or in the way.
        tracebacks: A line for each that ended in an exception other than PhotoseekError.
    """

    counts: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Add what happened elsewhere."""
        self.counts += other.counts
        self.losses += other.losses
        self.tracebacks += other.tracebacks


@dataclass(slots=True)
class _Disturbance:
    """A fault at the n-th call of an operation, counted from 0."""

    number: int
    fault: int
    calls: int = 0
    marks: int = 0
    hit: Call | None = None

    def decide(self, call: Call) -> int:
        """Return what becomes of a call; see `watch`."""
        if call.name == MARK:
            self.marks += self.hit is None
            return HAPPEN
        self.calls += 1
        if self.calls != self.number + 1:
            return HAPPEN
        self.hit = call
        return self.fault


def run_undisturbed(name: str, operation: Operation, scratch: Path) -> Undisturbed:
    """Prepare an operation and run it.

    Args:
        name: Its name.
        operation: The operation.
        scratch: An empty folder, which is kept as long as the record is used.

    Raises:
        RuntimeError: It did not end well by itself.
    """
    place = Place(scratch / "photos", scratch / "written")
    place.written.mkdir()
    operation.prepare(place)
    shutil.copytree(place.written, scratch / "prepared")
    states, calls = [operation.read(place)], Counter[bool]()

    def decide(call: Call) -> int:
        calls[call.name == MARK] += 1
        if call.name == MARK:  # the child stands still: a copy is what a kill here would leave
            copy = Place(place.photos, scratch / "copy")
            shutil.copytree(place.written, copy.written)
            states.append(operation.read(copy))
            shutil.rmtree(copy.written)
        return HAPPEN

    ending = watch(work_of(operation, place), place.written, decide)
    problems = _all_problems(place)
    if operation.in_one_step and any(state not in (states[0], states[-1]) for state in states):
        problems.append("there is a state between before and after")
    if ending.kind != "done" or problems:
        raise RuntimeError(f"{name} undisturbed: {ending.kind} {ending.said} {problems}")
    files = _files(place)
    shutil.rmtree(place.written)
    return Undisturbed(name, place.photos, scratch / "prepared", calls[False], tuple(states), files)


def disturb(undisturbed: Undisturbed, operation: Operation, fault: str, number: int, outcome: Outcome) -> None:
    """Run an operation, fail or kill it at a call, and look at what is there then and after another run.

    Args:
        undisturbed: What an undisturbed run of it gave.
        operation: The operation.
        fault: One of `FAULTS`.
        number: Which call, from 0.
        outcome: Gets what happened.
    """
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(undisturbed.photos, Path(scratch) / "written")
        shutil.copytree(undisturbed.prepared, place.written)
        disturbance = _Disturbance(number, FAULTS[fault])
        ending = watch(work_of(operation, place), place.written, disturbance.decide)
        outcome.counts[f"{undisturbed.name}: {fault} {ending.kind}"] += 1
        where = f"{undisturbed.name}, {fault} at call {number}, {disturbance.hit}"
        if ending.kind == "traceback":
            outcome.tracebacks.append(f"{where}: {' | '.join(ending.said.splitlines()[-5:])}")
        if (ending.kind == "killed") != (fault == "kill") or disturbance.hit is None:
            outcome.losses.append(f"{where}: it ended as {ending.kind} after {disturbance.calls} calls")
        states = undisturbed.states[-1 if ending.kind == "done" else disturbance.marks :]
        try:
            outcome.losses += [f"{where}: {problem}" for problem in operation.problems(place)]
            if (state := operation.read(place)) not in states:
                outcome.losses.append(f"{where}: not a state of an undisturbed run: {_difference(state, states[0])}")
            operation.run(place)
            outcome.losses += [
                f"{where}, then run again: {line}" for line in _wrong_at_the_end(place, undisturbed, operation)
            ]
        except Exception as error:
            at = " < ".join(
                f"{Path(one.filename).name}:{one.lineno}" for one in traceback.extract_tb(error.__traceback__)[:-5:-1]
            )
            outcome.tracebacks.append(f"{where}: then {error!r} in {at}")


def _wrong_at_the_end(place: Place, undisturbed: Undisturbed, operation: Operation) -> list[str]:
    """Return how the outcome of an operation that was run again differs from that of an undisturbed one."""
    wrong = _all_problems(place)
    if (state := operation.read(place)) != undisturbed.states[-1]:
        wrong.append(f"not what an undisturbed run gives: {_difference(state, undisturbed.states[-1])}")
    if (files := _files(place)) != undisturbed.files:
        wrong.append(f"files differ: {_unlike(files, undisturbed.files)}")
    return wrong


def _all_problems(place: Place) -> list[str]:
    return index_problems(place) + ranker_problems(place)


def _files(place: Place) -> tuple[str, ...]:
    """Return the names of the files that are there, below the written folder."""
    found = (path.relative_to(place.written).as_posix() for path in place.written.rglob("*"))
    return tuple(sorted(OWN_NAMES.sub("", name) for name in found if not PASSING.search(name)))


def _unlike(files: tuple[str, ...], expected: tuple[str, ...]) -> str:
    more, less = Counter(files) - Counter(expected), Counter(expected) - Counter(files)
    return f"{sorted(more)} more, {sorted(less)} missing"


def _difference(state: State, other: State) -> str:
    """Return the names of the parts that differ."""
    one, two = state or {}, other or {}
    return ", ".join(sorted(name for name in {*one, *two} if one.get(name) != two.get(name))) or "nothing was begun"


# A record and the faults and calls that are tried in one go.
Chunk = tuple[Undisturbed, list[tuple[str, int]]]


def chunks(records: Iterable[Undisturbed], every: int) -> list[Chunk]:
    """Return what is tried: each `every`-th of all faults at all calls of all operations."""
    found: list[Chunk] = []
    for record in records:
        tried = [(fault, number) for fault in FAULTS for number in range(record.calls)][::every]
        found += [(record, tried[start : start + CHUNK]) for start in range(0, len(tried), CHUNK)]
    return found


def run_chunk(chunk: Chunk, operations: dict[str, Operation] = OPERATIONS) -> Outcome:
    """Try some faults of an operation."""
    record, tried = chunk
    outcome = Outcome()
    with small_scale():
        for fault, number in tried:
            disturb(record, operations[record.name], fault, number, outcome)
    return outcome


def run_all(every: int, scratch: Path, each: Callable[[list[Chunk]], Iterable[Outcome]]) -> Outcome:
    """Try each `every`-th fault of all operations.

    Args:
        every: One fault of so many is tried.
        scratch: An empty folder.
        each: Runs chunks, and yields their outcomes.
    """
    records = []
    with small_scale():
        for name, operation in OPERATIONS.items():
            (scratch / name).mkdir()
            records.append(run_undisturbed(name, operation, scratch / name))
    outcome = Outcome()
    for part in each(chunks(records, every)):
        outcome.add(part)
    return outcome


def _in_processes(on_done: Callable[[int, int], None], todo: list[Chunk]) -> Iterable[Outcome]:
    """Run chunks in some processes; each traces children of its own."""
    total = sum(len(tried) for _, tried in todo)
    done = 0
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        for outcome in pool.map(run_chunk, todo):
            yield outcome
            done += sum(outcome.counts.values())
            on_done(done, total)


@click.command()
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Try one fault of so many.")
def main(every: int) -> None:
    """Fail and kill every operation at its calls, and print what was lost."""
    with tempfile.TemporaryDirectory() as scratch, progress_bar("faults", quiet=False) as on_done:
        outcome = run_all(every, Path(scratch), partial(_in_processes, on_done))
    for line in [*outcome.tracebacks, *outcome.losses, *(f"{name} {n}" for name, n in sorted(outcome.counts.items()))]:
        click.echo(line)
    click.echo(
        f"{sum(outcome.counts.values())} calls of {len(OPERATIONS)} operations failed or killed: "
        f"{len(outcome.losses)} losses, {len(outcome.tracebacks)} tracebacks"
    )
    raise SystemExit(bool(outcome.losses or outcome.tracebacks))


if __name__ == "__main__":
    main()

"""Kill real builds and compactions at random times until they are done, and compare with undisturbed ones.

    python -m experiments.soak.killed_builds PHOTOS [--count 200] [--photos 40] [--seed 0]

Each is `photoseek build` or `photoseek compact` in a process of its own, killed with all processes that it started
(kill -9), and run again. Only its transactions are smaller: 8 photos each. Wanted: at the end every row and photo is,
byte for byte, as in an index that was never disturbed, and `verify` finds nothing.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.verification.verify import VerifySettings, verify_index
from photoseek.progress.console import progress_bar
from reranker.ranker import Ranker

COMMAND = """
from indexer.building import photo_writer
from cli import run
photo_writer.COMMIT_ROWS = 8
run()
"""
# A start takes this many seconds at least, in which nothing is written.
START_SECONDS = 0.4
# One index in so many is compacted, the others are built; an index is disturbed so often at most.
COMPACT_EVERY, KILLS_OF_ONE = 4, 8


@dataclass(slots=True)
class Outcome:
    """Record of what happened so far.

    Attributes:
        kills: How many processes were killed.
        done: How many indexes were finished after kills.
        losses: A line for each that was not as it should be.
    """

    kills: int = 0
    done: int = 0
    losses: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    """A command that is killed.

    Attributes:
        words: Its arguments, without the index.
        start: The index that it begins with; it may be missing.
        expected: What it ends with, undisturbed.
        seconds: How long it takes, undisturbed.
    """

    words: list[str]
    start: Path
    expected: dict[str, bytes]
    seconds: float


def start_command(words: list[str], index: Path) -> "subprocess.Popen[bytes]":
    """Start photoseek on an index, in a process group of its own."""
    command = [sys.executable, "-c", COMMAND, *words, "-q", "-i", str(index)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def is_killed(process: "subprocess.Popen[bytes]", after: float) -> bool:
    """Kill a process and all that it started after some seconds; return False if it had ended by then."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


def finish(words: list[str], index: Path) -> str:
    """Run photoseek to its end; return what it printed if it failed, else ""."""
    process = start_command(words, index)
    printed, _ = process.communicate()
    return printed.decode(errors="replace") if process.returncode else ""


def contents(index: Path) -> dict[str, bytes]:
    """Return all rows of an index, the row of each photo, and its view, as bytes by their names."""
    with Index.open(index) as opened:
        found = {"rows": np.asarray(opened.embeddings()).tobytes()}
        for photo in opened.catalogue.all_photos():
            value = repr((photo.row, photo.size, photo.mtime_ns, photo.reason)).encode()
            found[os.fsdecode(photo.path)] = value
        view = opened.catalogue.active_view()
        found["view"] = b"" if view is None else f"{view.ranker_id} {view.rows}".encode()
        return found


def losses_of(index: Path, expected: dict[str, bytes]) -> list[str]:
    """Return what is not in an index as it should be, and what `verify` finds."""
    try:
        found = contents(index)
        findings = verify_index(index, VerifySettings(Ranker.load)).findings
    except PhotoseekError as error:
        return [f"refused: {error}"]
    different = [name for name in sorted(expected | found) if expected.get(name) != found.get(name)]
    return [f"{name} differs" for name in different] + [f"{one.file}: {one.problem}" for one in findings]


def prepare_case(name: str, photos: list[Path], top: Path) -> Case:
    """Make the undisturbed index that killed builds or compactions are compared with.

    Args:
        name: "build" or "compact".
        photos: The photo files, four or more.
        top: A folder that does not exist; all is written below it.

    Raises:
        RuntimeError: An undisturbed command fails.
    """
    folder, start, index = top / "photos", top / "start", top / "undisturbed"
    folder.mkdir(parents=True)
    for photo in photos:
        shutil.copy2(photo, folder)
    words = ["build", str(folder)]
    if name == "compact":
        _run(words, start)
        for photo in photos[::3]:
            (folder / photo.name).unlink()
        _run(words, start)
        words = ["compact"]
        shutil.copytree(start, index)
    began = time.monotonic()
    _run(words, index)
    return Case(words, start, contents(index), time.monotonic() - began)


def _run(words: list[str], index: Path) -> None:
    failed = finish(words, index)
    if failed:
        raise RuntimeError(f"the undisturbed {words[0]}: {failed}")


def run_kills(photos: list[Path], count: int, seed: int, on_done: Callable[[int, int], None]) -> Outcome:
    """Kill builds and compactions until so many are killed, and finish each index.

    Args:
        photos: The photo files, four or more.
        count: How many kills in all.
        seed: The seed of the times.
        on_done: Gets (kills, count).
    """
    draw, outcome = random.Random(seed), Outcome()
    with tempfile.TemporaryDirectory() as scratch:
        cases: dict[str, Case] = {}
        while outcome.kills < count:
            name = "compact" if outcome.done % COMPACT_EVERY == 1 else "build"
            if name not in cases:
                cases[name] = prepare_case(name, photos, Path(scratch) / name)
            case = cases[name]
            index = Path(scratch) / "index"
            if case.start.exists():
                shutil.copytree(case.start, index)
            kills = min(draw.randint(1, KILLS_OF_ONE), count - outcome.kills)
            for _ in range(kills):
                if not is_killed(start_command(case.words, index), draw.uniform(START_SECONDS, case.seconds)):
                    break
                outcome.kills += 1
                on_done(outcome.kills, count)
            failed = finish(case.words, index)
            losses = [failed] if failed else losses_of(index, case.expected)
            outcome.losses += [f"{name}, after {outcome.kills} kills in all: {loss}" for loss in losses]
            outcome.done += 1
            shutil.rmtree(index)
    return outcome


@click.command()
@click.argument("folder", metavar="PHOTOS", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", default=200, show_default=True)
@click.option("--photos", default=40, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(folder: Path, count: int, photos: int, seed: int) -> None:
    """Kill builds and compactions of PHOTOS, and print what was lost."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".jpg")[:photos]
    with progress_bar("kills", quiet=False) as on_done:
        outcome = run_kills(files, count, seed, on_done)
    for loss in outcome.losses:
        click.echo(loss)
    click.echo(f"seed {seed}, {outcome.kills} kills, {outcome.done} indexes finished: losses {len(outcome.losses)}")
    raise SystemExit(bool(outcome.losses))


if __name__ == "__main__":
    main()

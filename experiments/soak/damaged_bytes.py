"""Damage an index: flip a bit, or cut a file, again and again; see what verify, info, search and build make of it.

    python -m experiments.soak.damaged_bytes PHOTOS [--count 1000] [--seed 0]

Every damage is done to a fresh copy of a real index of PHOTOS, in any of its files. Wanted: `verify` notices it, no
command ends in a traceback, and after a repair a search answers as before. Until then it may answer with other hits, as
most bytes are only looked at by `verify`; how often is printed.
"""

import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.index import DEFAULT_ENCODER, Index
from indexer.verification.verify import VerifySettings, verify_index
from photoseek.attach import attach_ranker
from photoseek.progress.console import progress_bar
from photoseek.repair import RepairCallbacks, repair_index
from reranker.ranker import Ranker
from search.searcher import Searcher

T = TypeVar("T")

QUERIES = ("a dog runs through the grass", "two men", "beach")
# Files that hold nothing: they are made anew by whoever opens the index.
PASSING = ("-shm", "-wal", "writer.lock", "writer.json", "policy.lock")
# One damage in so many cuts the file, the others flip a bit.
CUT_EVERY = 4


@dataclass(slots=True)
class Outcome:
    """Record of what happened so far.

    Attributes:
        counts: How often, by what happened.
        faults: A line for each damage that was not noticed or ended in a traceback.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def damage(path: Path, draw: random.Random, *, cut: bool) -> str:
    """Flip a bit of a file or cut it, and return what was done in words."""
    size = path.stat().st_size
    at = draw.randrange(size)
    with open(path, "r+b") as file:
        if cut:
            file.truncate(at)
            return f"cut {path.name} from {size} to {at} bytes"
        bit = draw.randrange(8)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))
    return f"flipped bit {bit} of byte {at} of {path.name}"


def damageable_files(index: Path) -> list[Path]:
    """Return the files of an index that hold anything, as paths below it, sorted."""
    files = (path for path in index.rglob("*") if path.is_file() and path.stat().st_size)
    return sorted(path.relative_to(index) for path in files if not path.name.endswith(PASSING))


def run_damages(
    index: Path, photos: Path, encoder: ImageEncoder, count: int, seed: int, on_done: Callable[[int, int], None]
) -> Outcome:
    """Damage copies of an index, and try every command on each.

    Args:
        index: A whole index with a view.
        photos: The folder that it is of.
        encoder: Its image encoder.
        count: How many damages.
        seed: The seed of the draws.
        on_done: Gets (done, count).
    """
    draw, outcome, files = random.Random(seed), Outcome(), damageable_files(index)
    with Searcher(Index.open(index)) as searcher:
        expected = [searcher.answer(query).hits for query in QUERIES]
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(count):
            copy = Path(scratch) / "index"
            shutil.copytree(index, copy)
            done = damage(copy / draw.choice(files), draw, cut=number % CUT_EVERY == 0)
            noticed = _is_noticed(copy, done, outcome)
            answers = _tried("search", partial(_answers, copy), done, outcome)
            if answers is not None and answers != expected:
                outcome.counts["searches with other hits"] += 1
                if not noticed:
                    outcome.faults.append(f"other hits, and not noticed: {done}")
            mended = _tried("repair", partial(_repair, copy, encoder), done, outcome)
            if mended is not None and mended != expected:
                outcome.faults.append(f"other hits after repair: {done}")
            _tried("info", partial(_facts, copy), done, outcome)
            _tried("build", partial(_build, photos, copy, encoder), done, outcome)
            shutil.rmtree(copy)
            on_done(number + 1, count)
    return outcome


def _is_noticed(index: Path, done: str, outcome: Outcome) -> bool:
    """Return whether a verification notices a damage, and count it."""
    found = _tried("verify", lambda: verify_index(index, VerifySettings(Ranker.load)), done, outcome)
    noticed = found is None or not found.is_whole
    outcome.counts["noticed" if noticed else "unnoticed"] += 1
    if not noticed:
        outcome.faults.append(f"unnoticed: {done}")
    return noticed


def _answers(index: Path) -> list[object]:
    with Searcher(Index.open(index)) as searcher:
        return [searcher.answer(query).hits for query in QUERIES]


def _repair(index: Path, encoder: ImageEncoder) -> list[object]:
    """Repair an index, and return its answers then."""
    repair_index(index, RepairCallbacks(), encoder)
    return _answers(index)


def _facts(index: Path) -> object:
    with Index.open(index) as opened:
        return opened.facts()


def _build(photos: Path, index: Path, encoder: ImageEncoder) -> None:
    Index.build(photos, index, encoder=encoder).close()


def _tried(what: str, act: Callable[[], T], done: str, outcome: Outcome) -> T | None:
    """Return what a command gives; None if it refuses, and if it ends in a traceback, which is a fault."""
    try:
        return act()
    except PhotoseekError:
        outcome.counts[f"{what} refused"] += 1
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        outcome.counts["tracebacks"] += 1
        outcome.faults.append(f"{what}: {error!r} in {Path(place.filename).name}:{place.lineno}: {done}")
    return None


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", default=1000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(photos: Path, count: int, seed: int) -> None:
    """Damage copies of an index of PHOTOS, and print what was noticed."""
    with tempfile.TemporaryDirectory() as folder:
        encoder = load_image_encoder(DEFAULT_ENCODER)
        index = Index.build(photos, Path(folder) / "index", encoder=encoder)
        attach_ranker(index)
        index.close()
        with progress_bar("damages", quiet=False) as on_done:
            outcome = run_damages(Path(folder) / "index", photos, encoder, count, seed, on_done)
    for fault in outcome.faults:
        click.echo(fault)
    counts = ", ".join(f"{name} {number}" for name, number in sorted(outcome.counts.items()))
    click.echo(f"seed {seed}, {count} damages: {counts}; faults {len(outcome.faults)}")
    raise SystemExit(bool(outcome.faults))


if __name__ == "__main__":
    main()

"""Measure how well photos that belong together are told from look-alikes.

    python -m experiments.stacks JUDGED

Wrong merges: real photos, of which none is taken for a burst, are indexed; every photo that is not the first of its
stack counts. The stacks are named, because real collections hold bursts all the same. Missed: 50 bursts are made of
photos (`experiments.made_bursts`); every photo outside the largest stack of its burst counts. The rule's two numbers
were chosen on one half of the photos and are measured on the other half, too.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

from experiments.made_bursts import made_burst
from indexer.index import DEFAULT_ENCODER, Index
from photoseek.options.standard_options import judged_argument
from reranker.evaluation.data import JUDGED_SET
from reranker.judgments.judged_folder import load_judgments

SEED = 7
BURSTS = 50
# Photos of another collection, beside the judged ones where they are there.
ELSEWHERE = Path("elsewhere", "coco", "photos")
HALVES = ("chosen on", "held out")


@click.command()
@judged_argument
@click.option("--encoder", default=DEFAULT_ENCODER, show_default=True, help="The image encoder.")
def main(judged: Path, encoder: str) -> None:
    """Print the shares of wrong merges and of missed photos of bursts, for each half of the photos."""
    photos = photos_of(judged)
    with tempfile.TemporaryDirectory() as folder:
        for number, half in enumerate(HALVES):
            own = photos[number::2]
            stacks = real_stacks(own, Path(folder, f"real-{number}"), encoder)
            merged = sum(len(stack) - 1 for stack in stacks)
            missed, joined, total = missed_photos(own, Path(folder, f"bursts-{number}"), encoder)
            click.echo(
                f"{half}: {merged} of {len(own)} photos merged ({merged / len(own):.2%}), {missed} of {total} photos "
                f"of {BURSTS} bursts missed ({missed / total:.2%}), {joined} bursts merged with another"
            )
            for stack in stacks:
                click.echo("  merged: " + " ".join(stack))


def photos_of(judged: Path) -> list[Path]:
    """Return the judged photos of a folder and those of another collection, in an order that mixes both.

    Args:
        judged: The judged folder.
    """
    judgments = load_judgments(judged)
    photos = sorted(judgments.photos[name] for name in judgments.sets[JUDGED_SET])
    photos += sorted((judged.parent / ELSEWHERE).glob("*.jpg"))
    order = np.random.default_rng(SEED).permutation(len(photos))
    return [photos[place] for place in order]


def real_stacks(photos: Sequence[Path], folder: Path, encoder: str) -> list[list[str]]:
    """Index photos, and return the names of those in each stack.

    Args:
        photos: The photos.
        folder: A folder for links to them and the index.
        encoder: Name of the image encoder.
    """
    root = folder / "photos"
    root.mkdir(parents=True)
    for photo in photos:
        os.symlink(photo.resolve(), root / photo.name)
    return _stacks(root, folder / "index", encoder)


def missed_photos(photos: Sequence[Path], folder: Path, encoder: str) -> tuple[int, int, int]:
    """Make bursts of the first photos, and count what is outside the largest stack of its burst.

    Args:
        photos: The photos.
        folder: A folder for the bursts and the index.
        encoder: Name of the image encoder.

    Returns:
        Photos missed, stacks that join two bursts, photos of all bursts.
    """
    root = folder / "photos"
    root.mkdir(parents=True)
    random = np.random.default_rng(SEED)
    sizes: dict[str, int] = {}
    for number, path in enumerate(photos[:BURSTS]):
        with Image.open(path) as photo:
            files = list(made_burst(photo.convert("RGB"), random))
        for place, data in enumerate(files):
            Path(root, f"{number:03}-{place:02}.jpg").write_bytes(data)
        sizes[f"{number:03}"] = len(files)
    largest = dict.fromkeys(sizes, 1)
    joined = 0
    for stack in _stacks(root, folder / "index", encoder):
        bursts = [name.partition("-")[0] for name in stack]
        joined += len(set(bursts)) > 1
        for burst in set(bursts):
            largest[burst] = max(largest[burst], bursts.count(burst))
    total = sum(sizes.values())
    return total - sum(largest.values()), joined, total


def _stacks(root: Path, folder: Path, encoder: str) -> list[list[str]]:
    """Index a folder, and return the names of the photos of each stack."""
    index = Index.build(root, folder, encoder=encoder)
    return [sorted(os.path.basename(photo.path) for photo in group) for group in index.groups()]


if __name__ == "__main__":
    main()

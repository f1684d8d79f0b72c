"""Damage photos of every kind again and again; see that each costs a build no more than itself, and bounded memory.

    python -m experiments.soak.mutated_images PHOTOS [--count 1000] [--seed 0]

Every image is a real photo of PHOTOS, written as a kind and mode drawn at random, in which bytes are flipped, the end
is cut off, sizes in the header are exaggerated or pieces are repeated. Wanted: no decoder hangs, no build ends, no
traceback, no photo takes over 1 GB in its decoding process, and a second build tries none of those that were skipped.
"""

import io
import os
import random
import re
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import pillow_heif
from PIL import Image

from indexer.callbacks import BuildCallbacks
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.index import DEFAULT_ENCODER, Index
from indexer.photos.decode import MAX_PIXELS, UnreadablePhotoError
from indexer.photos.decode_pool import DecodeWorkers
from indexer.photos.decoding.limits import memory_budget
from indexer.photos.found_files import Skipped
from photoseek.progress.console import progress_bar

DEADLINE = 60.0
MOST_MEMORY = memory_budget(MAX_PIXELS)
# Longest side of the photos that are damaged.
SIDE = 500
# Kind of file -> the modes that are written and the options of the writer, of which one is drawn.
KINDS: dict[str, tuple[tuple[str, ...], tuple[dict[str, object], ...]]] = {
    "JPEG": (("RGB", "L", "CMYK"), ({}, {"progressive": True}, {"subsampling": 0, "progressive": True})),
    "PNG": (("RGB", "RGBA", "L", "LA", "P", "I;16"), ({}, {"interlace": 1})),
    "TIFF": (
        ("RGB", "RGBA", "L", "CMYK", "I;16", "F"),
        ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}),
    ),
    "WEBP": (("RGB", "RGBA"), ({}, {"lossless": True})),
    "GIF": (("P", "L"), ({}, {"save_all": True})),
    "AVIF": (("RGB", "RGBA"), ({"speed": 10},)),
    "HEIF": (("RGB", "RGBA"), ({},)),
    "JPEG2000": (("RGB", "L"), ({},)),
    "BMP": (("RGB", "L"), ({},)),
    "PPM": (("RGB", "L"), ({},)),
}
MOST_FLIPS = 40
# Bytes of a header in which sizes are looked for, and what is written in their place.
HEADER_BYTES = 4096
EXAGGERATED = (0, 1, 0x3FFF, 0x7FFF, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


@dataclass(slots=True)
class Outcome:
    """Record of what happened so far.

    Attributes:
        counts: How often, by what happened.
        faults: A line for each fault.
        peak: Bytes by which the decoding process grew for the worst photo, and the photo.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    peak: tuple[int, str] = (0, "")


def written(photo: Image.Image, draw: random.Random) -> tuple[str, bytes]:
    """Write a photo as a kind and mode drawn at random; return the kind and the file."""
    kind = draw.choice(sorted(KINDS))
    modes, options = KINDS[kind]
    mode = draw.choice(modes)
    if mode in ("I;16", "F"):
        grey = np.asarray(photo.convert("L"))
        image = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey.astype(np.float32) / 255)
    else:
        image = photo.convert(mode)
    chosen = dict(draw.choice(options))
    if chosen.get("save_all"):
        chosen["append_images"] = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    target = io.BytesIO()
    image.save(target, kind, **chosen)
    return kind, target.getvalue()


def flip(data: bytes, draw: random.Random, _size: tuple[int, int]) -> bytes:
    """Change some bytes, half of the time in the header."""
    result = bytearray(data)
    end = len(data) if draw.random() < 0.5 else min(len(data), HEADER_BYTES)
    for _ in range(draw.randint(1, MOST_FLIPS)):
        result[draw.randrange(end)] ^= draw.randint(1, 255)
    return bytes(result)


def cut(data: bytes, draw: random.Random, _size: tuple[int, int]) -> bytes:
    """Cut off the end."""
    return data[: draw.randrange(1, len(data))]


def exaggerate(data: bytes, draw: random.Random, size: tuple[int, int]) -> bytes:
    """Write other numbers where the header has the width or the height, in any of the ways that kinds write them."""
    result = bytearray(data)
    for side in size if draw.random() < 0.5 else (draw.choice(size),):
        number = draw.choice(EXAGGERATED)
        forms = [
            (wanted.to_bytes(count, order), (min(number, 256**count - 1)).to_bytes(count, order))
            for wanted in (side, side - 1)
            for count in (4, 3, 2)
            for order in ("big", "little")
        ]
        forms.append((str(side).encode(), str(number).encode()))
        for old, new in forms:
            places = [match.start() for match in re.finditer(re.escape(old), result[:HEADER_BYTES])]
            if places:
                place = draw.choice(places[:4])
                result[place : place + len(old)] = new
                break
    if data[12:16] == b"IHDR":  # with the right checksum, so that it is believed
        result[29:33] = zlib.crc32(result[12:29]).to_bytes(4, "big")
    return bytes(result)


def repeat(data: bytes, draw: random.Random, _size: tuple[int, int]) -> bytes:
    """Insert a piece of the file once more, a few times, here or elsewhere."""
    begin = draw.randrange(len(data))
    piece = data[begin : begin + draw.choice((4, 12, 64, 1024, len(data)))]
    place = begin if draw.random() < 0.5 else draw.randrange(len(data))
    return data[:place] + piece * draw.randint(1, 8) + data[place:]


MUTATIONS = (flip, cut, exaggerate, repeat)


def write_mutated(photos: Path, folder: Path, count: int, seed: int) -> list[Path]:
    """Write mutated images; the same ones for the same photos and seed.

    Args:
        photos: A folder of photos.
        folder: Where to write.
        count: How many.
        seed: The seed of the draws.

    Returns:
        Their paths; a name tells what was done.
    """
    pillow_heif.register_heif_opener()
    draw = random.Random(seed)
    originals = sorted(path for path in photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    paths = []
    for number in range(count):
        with Image.open(draw.choice(originals)) as opened:
            photo = opened.convert("RGB")
        photo.thumbnail((SIDE, SIDE))
        kind, data = written(photo, draw)
        mutate = MUTATIONS[number % len(MUTATIONS)]
        path = folder / f"{number:05}-{mutate.__name__}-{kind.lower()}.{kind.lower().replace('jpeg2000', 'jp2')}"
        path.write_bytes(mutate(data, draw, photo.size))
        paths.append(path)
    return paths


def _children() -> set[int]:
    """Return the ids of this process's child processes."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def _memory(pid: int, name: str) -> int:
    """Return a number of bytes from the status of a process."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def measure_peaks(
    paths: list[Path], sound: Path, encoder: ImageEncoder, outcome: Outcome, on_done: Callable[[int, int], None]
) -> None:
    """Decode files one by one in a decoding process, and record by how much it grows and whether it hangs or dies.

    Args:
        paths: The files.
        sound: A sound photo, with which a process loads what it needs.
        encoder: The encoder whose square they become.
        outcome: Where to record it.
        on_done: Gets (done, count).
    """
    others, pid = _children(), -1
    with closing(DecodeWorkers(1, encoder.transform, MAX_PIXELS, DEADLINE)) as workers:
        for number, path in enumerate(paths):
            if pid not in _children():
                workers.schedule(os.fsencode(sound)).result()
                [pid] = _children() - others
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is the present again
            before = _memory(pid, "VmRSS")
            try:
                found = workers.schedule(os.fsencode(path)).result()
                outcome.counts["decoded with a note" if found.note else "decoded"] += 1
            except UnreadablePhotoError as error:
                outcome.counts["skipped"] += 1
                if "killed its process" in str(error):
                    outcome.counts["of them killed their process"] += 1
                if f"over {DEADLINE:g} s" in str(error):
                    outcome.faults.append(f"hang: {path.name}")
            except Exception as error:
                outcome.faults.append(f"traceback: {error!r}: {path.name}")
            if pid in _children():
                outcome.peak = max(outcome.peak, (_memory(pid, "VmHWM") - before, path.name))
            on_done(number + 1, len(paths))
    if outcome.peak[0] > MOST_MEMORY:
        outcome.faults.append(f"memory: {outcome.peak[0]:,} bytes for {outcome.peak[1]}")


def build_twice(folder: Path, index: Path, encoder: ImageEncoder, outcome: Outcome) -> None:
    """Build an index of the mutated images, and once more, which must find nothing to do.

    Args:
        folder: The images.
        index: The index to make.
        encoder: The encoder.
        outcome: Where to record what goes wrong.
    """
    named: list[Skipped] = []
    for is_second in (False, True):
        named.clear()
        try:
            built = Index.build(folder, index, encoder=encoder, callbacks=BuildCallbacks(on_skip=named.append))
            built.close()
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            outcome.faults.append(f"dead build: {error!r} in {Path(place.filename).name}:{place.lineno}")
            return
        if is_second:
            outcome.faults += [f"tried again: {os.fsdecode(item.path)}: {item.reason}" for item in named]


def run_mutations(
    photos: Path, encoder: ImageEncoder, count: int, seed: int, on_done: Callable[[int, int], None]
) -> Outcome:
    """Mutate photos, decode each, and build an index of them all twice.

    Args:
        photos: A folder of photos.
        encoder: The image encoder.
        count: How many images.
        seed: The seed of the draws.
        on_done: Gets (done, count).
    """
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        paths = write_mutated(photos, folder, count, seed)
        sound = Path(scratch) / "sound.png"
        Image.new("RGB", (64, 64), "red").save(sound)
        measure_peaks(paths, sound, encoder, outcome, on_done)
        build_twice(folder, Path(scratch) / "index", encoder, outcome)
    return outcome


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", default=1000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(photos: Path, count: int, seed: int) -> None:
    """Mutate PHOTOS and print what became of them."""
    encoder = load_image_encoder(DEFAULT_ENCODER)
    with progress_bar("mutated images", quiet=False) as on_done:
        outcome = run_mutations(photos, encoder, count, seed, on_done)
    for fault in outcome.faults:
        click.echo(fault)
    kinds = Counter(fault.partition(":")[0] for fault in outcome.faults)
    counts = ", ".join(f"{name} {number}" for name, number in sorted(outcome.counts.items()))
    wrong = ", ".join(f"{name}s {kinds[name]}" for name in ("hang", "traceback", "dead build"))
    click.echo(
        f"seed {seed}, {count} mutated images: {counts}; {wrong}, tried again {kinds['tried again']}; largest peak "
        f"{outcome.peak[0] / 1e6:.0f} MB ({outcome.peak[1]}); faults {len(outcome.faults)}"
    )
    raise SystemExit(bool(outcome.faults))


if __name__ == "__main__":
    main()

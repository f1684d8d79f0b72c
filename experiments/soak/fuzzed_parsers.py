"""Give every parser files that a coverage-guided fuzzer makes; each answers, or refuses with one line.

    python -m experiments.soak.fuzzed_parsers [--runs 20000] [--seed 0] [--target NAME]

A parser is what reads a file, or a text, that may come from anywhere: queries, judged tables, manifests, views' cards,
rankers, checkpoints, policies, metadata of photos. Whatever the bytes, it must return, or raise PhotoseekError, within
the time limit. The fuzzer is atheris (libFuzzer), which changes the bytes so that they reach code that none reached.
Each target runs in a process of its own.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from indexer.errors import PhotoseekError

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
# The longest input in bytes, and the longest time of one in seconds.
LONGEST, TIME_LIMIT = 16_384, 20
# What libFuzzer says last of a target that was not stopped.
DONE = re.compile(rb"Done (\d+) runs in")

# Reads bytes; a fault is any exception but PhotoseekError.
Parser = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """A parser to be fuzzed.

    Attributes:
        make: Returns the parser, which may use a scratch folder; the modules that it imports are instrumented.
        seeds: Returns inputs to begin with.
    """

    make: Callable[[Path], Parser]
    seeds: Callable[[], Sequence[bytes]]


def _queries(_scratch: Path) -> Parser:
    from reranker.ranker import Ranker
    from search.queries.query_text import parse_query
    from search.queries.spelling import Spelling
    from search.query_encoder import check_query_text

    known = Spelling(Ranker.default().known_words, lambda _word: False)

    def parse(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        check_query_text("1", text)
        parse_query(text, known)

    return parse


def _query_file(suffix: str) -> Callable[[Path], Parser]:
    def make(scratch: Path) -> Parser:
        from search.query_files import read_queries

        return _through_file(scratch / f"queries{suffix}", lambda path: read_queries(path, keep_going=True))

    return make


def _judged_table(name: str) -> Callable[[Path], Parser]:
    def make(scratch: Path) -> Parser:
        from reranker.judgments.judged_folder import load_judgments

        for path in SAMPLE.iterdir():
            if path.name != name:
                (scratch / path.name).symlink_to(path)
        return _through_file(scratch / name, lambda path: load_judgments(path.parent, keep_going=True))

    return make


def _manifest(scratch: Path) -> Parser:
    from indexer.storage import manifest

    return _through_file(scratch / manifest.NAME, lambda path: manifest.read(path.parent))


def _view_card(scratch: Path) -> Parser:
    from indexer.views.view import open_view
    from indexer.views.view_files import CARD

    return _through_file(scratch / CARD, lambda path: open_view(path.parent))


def _ranker(name: str) -> Callable[[Path], Parser]:
    def make(scratch: Path) -> Parser:
        from reranker.ranker import FAST_FOLDER, Ranker

        for path in FAST_FOLDER.iterdir():
            if path.name != name:
                (scratch / path.name).symlink_to(path)
        return _through_file(scratch / name, lambda path: Ranker.load(path.parent))

    return make


def _checkpoint(suffix: str) -> Callable[[Path], Parser]:
    def make(scratch: Path) -> Parser:
        from indexer.encoders.torchvision_models import read_state_dict

        return _through_file(scratch / f"weights{suffix}", read_state_dict)

    return make


def _policy(scratch: Path) -> Parser:
    from reranker.moderation.policy import Policy

    return _through_file(scratch / "policy.toml", lambda path: Policy.load(str(path)))


def _photo_metadata(scratch: Path) -> Parser:
    from indexer.photos.metadata.reading import read_metadata

    return _through_file(scratch / "photo.jpg", lambda path: read_metadata(bytes(path)))


def _through_file(path: Path, read: Callable[[Path], object]) -> Parser:
    """Return a parser that writes its bytes to a file, and reads that."""

    def parse(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return parse


def _sample(name: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [(SAMPLE / name).read_bytes()]


def _ranker_card_seeds() -> Sequence[bytes]:
    """Return a shipped ranker's card with few of its many words, which is read to the end and refused then."""
    from reranker.ranker import FAST_FOLDER

    values = json.loads((FAST_FOLDER / "ranker.json").read_text())
    values |= {"vocabulary": values["vocabulary"][:5], "known_words": values["known_words"][:50]}
    return [json.dumps(values).encode()]


def _ranker_weights_seeds() -> Sequence[bytes]:
    """Return the names and shapes of a shipped ranker's weights, which is how their file begins."""
    from reranker.ranker import FAST_FOLDER

    return [(FAST_FOLDER / "weights.safetensors").read_bytes()[:LONGEST]]


def _manifest_seeds() -> Sequence[bytes]:
    from indexer.storage import manifest

    with tempfile.TemporaryDirectory() as folder:
        manifest.write(Path(folder), manifest.Manifest("tiny@1", "tiny", 4, region_shape=(2, 4)))
        written = (Path(folder) / manifest.NAME).read_bytes()
    older = {name: value for name, value in json.loads(written).items() if name != manifest.CHECKSUM} | {"format": 2}
    return [written, json.dumps(older).encode()]


def _card_seeds() -> Sequence[bytes]:
    exact = b'{"rows": 4, "k": 3, "hidden": 2, "regions": [2, 2], "saw_regions": true, "ranker": "a", "exact": "few"}'
    kind = b'{"probes": 1, "depth": 9, "recall": 0.9}'
    return [exact, exact.replace(b'"exact": "few"', b'"tuning": {"lists": 2, "kinds": {"caption": %b}}' % kind)]


def _checkpoint_seeds(suffix: str) -> Callable[[], Sequence[bytes]]:
    def seeds() -> Sequence[bytes]:
        import torch
        from safetensors.torch import save_file

        with tempfile.TemporaryDirectory() as folder:
            path, tensors = Path(folder) / "weights", {"a.weight": torch.eye(2), "a.bias": torch.zeros(2)}
            save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
            return [path.read_bytes()]

    return seeds


def _policy_seeds() -> Sequence[bytes]:
    from reranker.moderation.policy import SHIPPED

    return [path.read_bytes() for path in sorted(SHIPPED.glob("*.toml"))]


def _photo_seeds() -> Sequence[bytes]:
    from io import BytesIO

    from PIL import Image

    seeds = []
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        exif, file = Image.Exif(), BytesIO()
        exif[0x0110], exif[0x0132], exif[0x0112] = "Camera", "2024:05:06 07:08:09", 6
        exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
        exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0)})
        Image.new("RGB", (4, 4)).save(file, kind, exif=exif)
        seeds.append(file.getvalue())
    return seeds


TARGETS = {
    "query": Target(_queries, lambda: [b"a dog without a leash, no people", "“das Café” ☕, not 3 cats!".encode()]),
    "queries.txt": Target(_query_file(".txt"), lambda: [b"a dog\na cat\n"]),
    "queries.csv": Target(_query_file(".csv"), _sample("test_queries.csv")),
    "queries.jsonl": Target(_query_file(".jsonl"), lambda: [b'{"id": "1", "query": "a dog"}\n{"text": "b"}\n']),
    "queries.parquet": Target(_query_file(".parquet"), lambda: [b"PAR1\x15\x04\x15\x10PAR1"]),
    **{
        name: Target(_judged_table(name), _sample(name))
        for name in ("ExpertAnnotations.tsv", "CrowdAnnotations.tsv", "Flickr8k.token.txt", "train_dataset.csv")
    },
    "manifest": Target(_manifest, _manifest_seeds),
    "view": Target(_view_card, _card_seeds),
    "ranker card": Target(_ranker("ranker.json"), _ranker_card_seeds),
    "ranker weights": Target(_ranker("weights.safetensors"), _ranker_weights_seeds),
    "checkpoint.pth": Target(_checkpoint(".pth"), _checkpoint_seeds(".pth")),
    "checkpoint.safetensors": Target(_checkpoint(".safetensors"), _checkpoint_seeds(".safetensors")),
    "policy": Target(_policy, _policy_seeds),
    "photo metadata": Target(_photo_metadata, _photo_seeds),
}


def fuzz(name: str, runs: int, seed: int) -> tuple[int, str | None]:
    """Fuzz a target in a process of its own.

    Args:
        name: The target.
        runs: How many inputs it gets.
        seed: Seed of the fuzzer.

    Returns:
        How many inputs it got, and the end of what was said of the first fault; None without one.
    """
    command = [sys.executable, "-m", "experiments.soak.fuzzed_parsers", "--inside", "--target", name]
    done = subprocess.run([*command, "--runs", str(runs), "--seed", str(seed)], capture_output=True)
    found = DONE.search(done.stderr)
    if done.returncode == 0 and found is not None:
        return int(found[1]), None
    # The traceback, and the input that libFuzzer kept.
    return 0, (done.stdout + done.stderr[-1000:]).decode("utf-8", "replace")


def _fuzz_inside(name: str, runs: int, seed: int) -> None:
    """Fuzz a target in this process, which libFuzzer ends."""
    import atheris

    scratch = Path(tempfile.mkdtemp(prefix="photoseek-fuzz-"))
    corpus = scratch / "corpus"
    corpus.mkdir()
    for number, data in enumerate(TARGETS[name].seeds()):
        (corpus / str(number)).write_bytes(data)
    (scratch / "files").mkdir()
    with atheris.instrument_imports(include=["indexer", "reranker", "search"]):
        parser = TARGETS[name].make(scratch / "files")

    def parse(data: bytes) -> None:
        try:
            parser(data)
        except PhotoseekError as error:
            if "\n" in str(error):
                raise AssertionError(f"a refusal of more than one line: {error!r}") from None

    options = [f"-runs={runs}", f"-seed={seed + 1}", f"-max_len={LONGEST}", f"-timeout={TIME_LIMIT}", "-verbosity=1"]
    atheris.Setup(["fuzz", *options, f"-artifact_prefix={scratch}/", str(corpus)], parse)
    atheris.Fuzz()


@click.command()
@click.option("--runs", default=20_000, show_default=True, help="Inputs of each target.")
@click.option("--seed", default=0, show_default=True)
@click.option("--target", type=click.Choice(sorted(TARGETS)), help="One target.  [default: all]")
@click.option("--inside", is_flag=True, hidden=True)
def main(runs: int, seed: int, target: str | None, inside: bool) -> None:
    """Fuzz the parsers, and print the faults and a summary line."""
    if inside:
        assert target is not None
        _fuzz_inside(target, runs, seed)
    total, faults = 0, []
    for name in [target] if target else TARGETS:
        count, fault = fuzz(name, runs, seed)
        total += count
        click.echo(f"{name}: {f'{count:,} inputs' if fault is None else 'FAULT'}")
        if fault is not None:
            faults.append(name)
            click.echo(fault, err=True)
    parsers = 1 if target else len(TARGETS)
    click.echo(f"{total:,} inputs of {parsers} parsers (seed {seed}), {len(faults)} faults")
    if faults:
        click.get_current_context().exit(1)


if __name__ == "__main__":
    main()

"""The manifest of an index: one JSON file that says what the folder holds, and makes it an index."""

import json
from pathlib import Path
from typing import Any

from indexer.encoders import ImageEncoder
from indexer.errors import DAMAGED, PhotoseekError
from indexer.storage.atomic_files import write_text

NAME = "manifest.json"
FORMAT = 1


def exists(folder: Path) -> bool:
    """Whether the folder is an index. One without a manifest was never begun, or hardly."""
    return (folder / NAME).exists()


def of_encoder(encoder: ImageEncoder, options: dict[str, str], regions: bool) -> dict[str, Any]:
    """The manifest of a new index; `options`: what it takes, beside the encoder's name, to load it again."""
    return {
        "format": FORMAT,
        "encoder": encoder.fingerprint,
        "encoder_name": encoder.name,
        "encoder_options": options,
        "dim": encoder.dim,
        "dtype": "float16",
        "metric": "inner product",
        "normalisation": "unit rows",
        "embeddings": "embeddings-1.f16",
        "regions": encoder.regions if regions else (0, 0),
    }


def write(folder: Path, manifest: dict[str, Any]) -> None:
    """Write it whole or not at all."""
    write_text(folder / NAME, json.dumps(manifest, indent=1) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """The manifest of an index. Raises PhotoseekError if it is missing, damaged or of another format."""
    path = folder / NAME
    try:
        manifest = json.loads(path.read_text())
        version = manifest["format"]
    except FileNotFoundError:
        raise PhotoseekError(f"no index at {folder}; make one: photoseek build PHOTOS -i {folder}") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise PhotoseekError(f"{path} cannot be read: {DAMAGED}") from None
    if version != FORMAT:
        raise PhotoseekError(
            f"index {folder} has format {version}, this photoseek reads {FORMAT}; delete it and build it again"
        )
    return dict(manifest)

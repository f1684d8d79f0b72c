"""Read and write ranker folders: `ranker.json` and `weights.safetensors`, by key, without pickle."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from indexer.errors import PhotoseekError
from indexer.storage.atomic_files import fsync, make_folder_durably, scratch_folder
from reranker.ranker_places import CARD_NAME, WEIGHTS_NAMES, check_place, explain_write_errors, no_ranker

FORMAT = 4

# Entries of the card that the checksum covers beside the weights; `results` and `training` change no ranking.
_ENCODERS = ("image_encoder", "text_encoder", "text_encoder_name")
_CHECKED_2 = ("id", *_ENCODERS, "vocabulary", "calibration", "operating_points")
_CHECKED_3 = (*_CHECKED_2, "ranking", "pair_features")
_CHECKED = (*_CHECKED_3, "gate_features", "known_words")
_CHECKED_OF = {2: _CHECKED_2, 3: _CHECKED_3, FORMAT: _CHECKED}

# What the entries of a card are, in JSON.
_TEXTS = ("image_encoder", "text_encoder", "text_encoder_name", "known_words")
_LISTS = ("vocabulary", "pair_features", "gate_features")
_OBJECTS = ("calibration", "operating_points", "ranking", "training", "figures", "image_encoder_options")
_KINDS = dict.fromkeys(_TEXTS, str) | dict.fromkeys(_LISTS, list) | dict.fromkeys(_OBJECTS, dict)

# What rankers of format 2 were ranked with, when these numbers were constants of the code. They never change.
FORMAT_2_RANKING: dict[str, Any] = {
    "candidates": 200,
    "lexical_weight": 0.5,
    "heads": {"meaning": 0.25, "class_names": 3.0, "hubness": 0.5},
    "hubness": {"captions": 10, "photos": 5, "late_captions": 5},
    "class_names": {"temperature": 0.05, "nearest": 5, "gate_scale": 5.0, "score_scale": 10.0},
    "small_gallery": {"few": 100, "many": 500, "strength": 0.6, "likely": 5.0},
    "exclusion": {"threshold": 0.5, "penalty": 100.0},
}
FORMAT_2_PAIR_FEATURES = ("cosine", "meaning", "hub", "named", "gate", "late", "late_hub")
FORMAT_2_GATE_FEATURES = ("mean_of_nearest", "bias")
FORMAT_2_ISOTONIC_LEAN = 0.02


@dataclass(frozen=True, slots=True)
class RankerCard:
    """The entries of `ranker.json`: all of a ranker but its weights.

    Attributes:
        id: Digest of everything that changes a ranking, 12 hex digits.
        image_encoder: Fingerprint of the image encoder.
        image_encoder_name: Name that loads it.
        image_encoder_options: Options that load it: `weights`, `preprocess`.
        text_encoder: Fingerprint of the text encoder.
        text_encoder_name: Name that loads it.
        vocabulary: Words of the lexical features, in the order of their idf weights.
        calibration: The calibration's method and numbers, by name.
        no_match: The no-match classifier's weights by feature, its bias and its threshold.
        ranking: Settings of the ranking, as `RankingSettings.as_dict` gives them.
        pair_features: Names of the pair features, in the order of the weights that are multiplied with them.
        gate_features: Names of the name gate's inputs behind the text vector, in the order of its weights.
        known_words: Words that training captions and names say, the most frequent first.
        training: What the ranker was trained on, for people.
        results: What it reached on validation photos, for people.
    """

    id: str
    image_encoder: str
    image_encoder_name: str
    image_encoder_options: dict[str, str]
    text_encoder: str
    text_encoder_name: str
    vocabulary: tuple[str, ...]
    calibration: dict[str, Any]
    no_match: dict[str, Any]
    ranking: dict[str, Any]
    pair_features: tuple[str, ...]
    gate_features: tuple[str, ...]
    known_words: tuple[str, ...]
    training: dict[str, Any]
    results: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RankerFolder:
    """A ranker folder as it was read.

    Attributes:
        card: What `ranker.json` says; settings that format 2 lacks have the values that it was ranked with.
        arrays: The weights by name, float32 or int64.
        whole: Whether weights and card are those that were saved under the card's id.
    """

    card: RankerCard
    arrays: dict[str, np.ndarray]
    whole: bool


def read_folder(folder: Path) -> RankerFolder:
    """Read a ranker folder, of this format, of format 3 or of format 2.

    Args:
        folder: What `write_folder` wrote.

    Raises:
        PhotoseekError: The folder is missing, cannot be read, or is of another format.
    """
    values = _read_card(folder)
    version = values.get("format")
    if type(version) is not int or version not in _CHECKED_OF:
        raise PhotoseekError(
            f"ranker {folder} has format {version}, this photoseek reads 2 to {FORMAT}; train it again"
        )
    try:
        weights = (folder / _weights_of(values)).read_bytes()
        arrays = unpack(load(weights))
        card = _card_of(_upgraded(values))
        # Making the digest takes longer than all else of a start. What is stored is what was saved under this id if the
        # folder's own checksum says so.
        whole = values.get("checksum") == _checksum(values, weights, _CHECKED_OF[version])
        if not whole:
            settings = identity(card) if version == FORMAT else _identity_of_old(values, version)
            whole = values.get("id") == digest_of(arrays, settings)
    except PermissionError as error:
        raise PhotoseekError(f"{error.filename} cannot be read: {error.strerror}") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise damaged(folder, error) from None
    return RankerFolder(card, arrays, whole)


def write_folder(folder: Path, card: RankerCard, arrays: dict[str, np.ndarray]) -> None:
    """Write a ranker folder; one that holds a ranker has the old one or the new one at any time.

    Args:
        folder: Where to write; see `check_place`.
        card: What goes into `ranker.json`.
        arrays: The weights by name; large matrices are rounded to int8, see `pack`.

    Raises:
        PhotoseekError: The folder holds something else, or cannot be written.
    """
    check_place(folder)
    with explain_write_errors(folder), scratch_folder(folder.parent, ".ranker-") as scratch:
        weights = save(pack(arrays))
        values = {
            "format": FORMAT,
            "id": card.id,
            "image_encoder": card.image_encoder,
            "text_encoder": card.text_encoder,
            "text_encoder_name": card.text_encoder_name,
            "calibration": card.calibration,
            "operating_points": {"no_match": card.no_match},
            "ranking": card.ranking,
            "pair_features": list(card.pair_features),
            "gate_features": list(card.gate_features),
            "training": card.training,
            "figures": card.results,
            "vocabulary": list(card.vocabulary),
            "known_words": " ".join(card.known_words),
            "image_encoder_name": card.image_encoder_name,
            "image_encoder_options": card.image_encoder_options,
        }
        values["checksum"] = _checksum(values, weights, _CHECKED)
        weights_name = values["weights"] = _free_weights_name(folder)
        (scratch / CARD_NAME).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        (scratch / weights_name).write_bytes(weights)
        make_folder_durably(folder)
        for name in (weights_name, CARD_NAME):
            (scratch / name).chmod(0o644)
            fsync(scratch / name)
            os.replace(scratch / name, folder / name)
            fsync(folder)
        for name in set(WEIGHTS_NAMES) - {weights_name}:
            (folder / name).unlink(missing_ok=True)


def _weights_of(values: Mapping[str, Any]) -> str:
    """Return the name of the weights' file that a card gives. Raises ValueError for any that no ranker has."""
    name = values.get("weights", WEIGHTS_NAMES[0])
    if name not in WEIGHTS_NAMES:
        raise ValueError(f"no file of weights: {name!r}")
    return str(name)


def _free_weights_name(folder: Path) -> str:
    """Return a name of weights that the card of a folder does not give."""
    try:
        taken = _weights_of(_read_card(folder))
    except (PhotoseekError, ValueError):
        return WEIGHTS_NAMES[0]
    return next(name for name in WEIGHTS_NAMES if name != taken)


def identity(card: RankerCard) -> list[Any]:
    """Return everything of a card that changes a ranking, in the form that the id is a digest of."""
    return [
        card.image_encoder,
        card.text_encoder,
        card.text_encoder_name,
        list(card.vocabulary),
        card.calibration,
        card.no_match,
        card.ranking,
        list(card.pair_features),
        list(card.gate_features),
        list(card.known_words),
    ]


def damaged(folder: Path, reason: object) -> PhotoseekError:
    """Return the error to raise for a ranker folder that is not whole."""
    return PhotoseekError(f"ranker {folder} is damaged ({reason}); train it again")


def digest_of(arrays: dict[str, np.ndarray], settings: list[Any]) -> str:
    """Return the id of a ranker: 12 hex digits over its weights, as they are used, and over its settings.

    Args:
        arrays: The weights by name, float or int.
        settings: What `identity` gives.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        dtype = "<i8" if array.dtype.kind == "i" else "<f4"
        digest.update(name.encode() + np.ascontiguousarray(array, dtype).tobytes())
    digest.update(json.dumps(settings).encode())
    return digest.hexdigest()[:12]


def pack(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Round float matrices of 64 rows or more to int8 with one float32 scale per column; keep all else.

    That is half the size of float16. Packing what was packed changes nothing.
    """
    packed = {}
    for name, array in arrays.items():
        if array.ndim == 2 and len(array) >= 64 and array.size:
            # Scales of 12 bits make every product below exact, so that packing twice changes nothing.
            fraction, exponent = np.frexp(np.maximum(np.abs(array).max(axis=0), 1e-12) / 127)
            scale = np.ldexp(np.ceil(fraction * 4096) / 4096, exponent).astype(np.float32)
            packed[name] = np.ascontiguousarray(np.rint(array / scale).astype(np.int8))
            packed[name + ".scale"] = scale
        else:
            packed[name] = np.ascontiguousarray(array, np.int64 if array.dtype.kind == "i" else np.float32)
    return packed


def unpack(packed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what `pack` packed: float32 and int64 arrays by name."""
    arrays = {}
    for name, array in packed.items():
        if array.dtype == np.int8:
            arrays[name] = array.astype(np.float32) * packed[name + ".scale"]
        elif not name.endswith(".scale"):
            arrays[name] = array
    return arrays


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD_NAME
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise no_ranker(folder) from None
    except NotADirectoryError:
        raise PhotoseekError(f"{folder} is a file and no ranker; name the folder of one") from None
    except OSError as error:
        raise PhotoseekError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("not an object")
    # Brackets of a damaged file may be nested deeper than Python goes.
    except (ValueError, RecursionError):
        raise PhotoseekError(f"{path} cannot be read: the ranker is damaged; train it again") from None
    return values


def _upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """Return a card of any format with what older formats lack: what was a constant, or was not thought of."""
    if values["format"] == 2:
        values = _upgraded_2(values)
    if values["format"] == FORMAT:
        return values
    return {**values, "gate_features": list(FORMAT_2_GATE_FEATURES), "known_words": ""}


def _upgraded_2(values: dict[str, Any]) -> dict[str, Any]:
    """Return a card of format 2 with the settings that were constants of the code then."""
    no_match = dict(values["operating_points"]["no_match"])
    names = [f"{kind}.{name}" for kind in ("sentence", "name") for name in (*FORMAT_2_PAIR_FEATURES, *_FIRST_HIT)]
    if len(no_match["weights"]) != len(names):
        raise ValueError(f"the no-match decision has {len(no_match['weights'])} weights, not {len(names)}")
    no_match["weights"] = dict(zip(names, no_match["weights"], strict=True))
    calibration = dict(values["calibration"])
    if calibration.get("method") == "isotonic":
        calibration["lean"] = FORMAT_2_ISOTONIC_LEAN
    return {
        **values,
        "operating_points": {"no_match": no_match},
        "calibration": calibration,
        "ranking": FORMAT_2_RANKING,
        "pair_features": list(FORMAT_2_PAIR_FEATURES),
    }


# Inputs of the no-match classifier beside the first hit's pair features, in the order of format 2.
_FIRST_HIT = ("ranking_score", "query_hubness", "gallery_growth", "bias")


def _identity_of_old(values: dict[str, Any], version: int) -> list[Any]:
    """Return what the id of a card of format 2 or 3 is a digest of, beside the weights."""
    names = ["image_encoder", "text_encoder", "text_encoder_name", "vocabulary", "calibration"]
    later = [] if version == 2 else [values["ranking"], values["pair_features"]]
    return [*(values[name] for name in names), values["operating_points"]["no_match"], *later]


def _card_of(values: dict[str, Any]) -> RankerCard:
    """Read a card. Raises KeyError or ValueError where an entry is missing or of another kind."""
    values = {"image_encoder_options": {}, **values}
    for name, kind in _KINDS.items():
        if not isinstance(values[name], kind):
            raise ValueError(f"its entry {name} is no {kind.__name__}")
    return RankerCard(
        id=values.get("id") or "",
        image_encoder=values["image_encoder"],
        # Where it was not kept, the fingerprint has it, without the path of a folder or file.
        image_encoder_name=values.get("image_encoder_name") or values["image_encoder"].rpartition("@")[0],
        image_encoder_options=values["image_encoder_options"],
        text_encoder=values["text_encoder"],
        text_encoder_name=values["text_encoder_name"],
        vocabulary=tuple(values["vocabulary"]),
        calibration=values["calibration"],
        no_match=values["operating_points"]["no_match"],
        ranking=values["ranking"],
        pair_features=tuple(values["pair_features"]),
        gate_features=tuple(values["gate_features"]),
        known_words=tuple(values["known_words"].split()),
        training=values["training"],
        results=values["figures"],
    )


def _checksum(values: dict[str, Any], weights: bytes, names: tuple[str, ...]) -> str:
    """Compute the SHA-256 of the stored weights and of the named entries of the card, in hex digits."""
    digest = hashlib.sha256(json.dumps([values.get(name) for name in names]).encode())
    digest.update(weights)
    return digest.hexdigest()

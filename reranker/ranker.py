"""A ranker: the trained linear map, the hub bank, the MLP and its calibration, as one folder; numpy is all it needs."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from indexer.errors import PhotoseekError
from indexer.views import PhotoSide
from reranker.calibration import Calibration
from reranker.lexicon import Lexicon
from reranker.linear_map import LinearMap, hub_terms, unit
from reranker.mlp import MLP

FORMAT = 1
DEFAULT_FOLDER = Path(__file__).parent / "default"


@dataclass(frozen=True, slots=True)
class QuerySide:
    """What a ranker computes once a query, for b queries.

    `candidate`: (b, k + 1), to be multiplied with `[z ; hub]`; `meaning`: (b, r) unit rows; `hidden`: (b, m).
    """

    candidate: np.ndarray
    meaning: np.ndarray
    hidden: np.ndarray


@dataclass(frozen=True, slots=True)
class Ranker:
    """Everything that turns a photo's and a sentence's vectors into a rank and a relevance.

    `map` gives candidates; `meaning` compares a photo with what sentences mean, from regressing the mean vector of a
    photo's captions; `bank` (c, k) holds mapped captions for the hub term. `image_encoder` and `text_encoder` are
    fingerprints, `text_encoder_name` is what loads the latter. `no_match` is the relevance under which the best hit is
    called no good match.
    """

    image_encoder: str
    text_encoder: str
    text_encoder_name: str
    map: LinearMap
    meaning: LinearMap
    lexicon: Lexicon
    bank: np.ndarray
    mlp: MLP
    calibration: Calibration
    hub_weight: float
    no_match: float
    training: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    id: str = ""

    @classmethod
    def load(cls, folder: str | Path) -> "Ranker":
        """Read a ranker folder. Raises PhotoseekError if it is missing, damaged or of another format."""
        path = Path(folder)
        try:
            card = json.loads((path / "ranker.json").read_text(encoding="utf-8"))
            if not isinstance(card, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            raise PhotoseekError(f"no ranker at {path}; train one: photoseek train JUDGED -o {path}") from None
        except (OSError, ValueError):
            raise PhotoseekError(
                f"{path / 'ranker.json'} cannot be read: the ranker is damaged; train it again"
            ) from None
        if card.get("format") != FORMAT:
            raise PhotoseekError(f"ranker {path} has format {card.get('format')}, this photoseek reads {FORMAT}")
        try:
            arrays = _unpack(load_file(path / "weights.safetensors"))
            ranker = cls(
                image_encoder=card["image_encoder"],
                text_encoder=card["text_encoder"],
                text_encoder_name=card["text_encoder_name"],
                map=LinearMap(*(arrays[f"map.{f.name}"] for f in fields(LinearMap))),
                meaning=LinearMap(*(arrays[f"meaning.{f.name}"] for f in fields(LinearMap))),
                lexicon=Lexicon(tuple(card["vocabulary"]), arrays["idf"]),
                bank=arrays["bank"],
                mlp=MLP(*(arrays[f"mlp.{f.name}"] for f in fields(MLP))),
                calibration=Calibration.from_dict(card["calibration"]),
                hub_weight=card["hub_weight"],
                no_match=card["operating_points"]["no_match"],
                training=card["training"],
                figures=card["figures"],
            )
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise PhotoseekError(f"ranker {path} is damaged ({error}); train it again") from None
        if card.get("id") != ranker._digest():
            raise PhotoseekError(
                f"ranker {path} is damaged (its weights are not those of {card.get('id')}); train it again"
            )
        return replace(ranker, id=card["id"])

    @classmethod
    def default(cls) -> "Ranker":
        """The ranker that photoseek ships, for the default encoders."""
        return cls.load(DEFAULT_FOLDER)

    def finished(self) -> "Ranker":
        """The same ranker with its weights rounded as they are stored, and its id: what `load` gives after `save`."""
        arrays = _unpack(_pack(self._arrays()))
        rounded = replace(
            self,
            map=LinearMap(*(arrays[f"map.{f.name}"] for f in fields(LinearMap))),
            meaning=LinearMap(*(arrays[f"meaning.{f.name}"] for f in fields(LinearMap))),
            lexicon=Lexicon(self.lexicon.words, arrays["idf"]),
            bank=arrays["bank"],
            mlp=MLP(*(arrays[f"mlp.{f.name}"] for f in fields(MLP))),
        )
        return replace(rounded, id=rounded._digest())

    def save(self, folder: str | Path) -> None:
        """Write the ranker folder, each file beside and renamed. Raises PhotoseekError as `check_place` does."""
        path = Path(folder)
        check_place(path)
        scratch = Path(tempfile.mkdtemp(prefix=".ranker-", dir=path.parent))
        try:
            card = {
                "format": FORMAT,
                "id": self.id,
                "image_encoder": self.image_encoder,
                "text_encoder": self.text_encoder,
                "text_encoder_name": self.text_encoder_name,
                "hub_weight": self.hub_weight,
                "calibration": self.calibration.as_dict(),
                "operating_points": {"no_match": self.no_match},
                "training": self.training,
                "figures": self.figures,
                "vocabulary": list(self.lexicon.words),
            }
            (scratch / "ranker.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
            (scratch / "weights.safetensors").write_bytes(save(_pack(self._arrays())))
            path.mkdir(exist_ok=True)
            for name in ("weights.safetensors", "ranker.json"):
                (scratch / name).chmod(0o644)
                os.replace(scratch / name, path / name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def photo_side(self, embeddings: np.ndarray, regions: np.ndarray | None = None) -> PhotoSide:
        """embeddings: (n, d) unit rows -> what a view keeps of them; `hidden` is [meaning ; photo part of the MLP].

        `regions`, (n, count, w) int8, are not used.
        """
        x = np.asarray(embeddings, np.float32)
        z = self.map.images(x)
        hidden = np.concatenate([self.meaning.images(x), self.mlp.photo_part(x)], axis=1)
        return PhotoSide(z, hub_terms(z, self.bank), hidden)

    def query_side(self, vectors: np.ndarray, texts: Sequence[str]) -> QuerySide:
        """vectors: (b, e) from the text encoder, for `texts`."""
        q = self.map.texts(self.lexicon.extend(vectors, texts))
        t = unit(vectors)
        weight = np.full((len(q), 1), -self.hub_weight, np.float32)
        return QuerySide(np.concatenate([q, weight], axis=1), self.meaning.texts(t), self.mlp.text_part(t))

    def logits(self, side: PhotoSide, query: QuerySide, row: int) -> np.ndarray:
        """Uncalibrated scores of gathered photos for query `row`: (n,) float32."""
        r = self.meaning.k
        scalars = np.stack(
            [side.z @ query.candidate[row, :-1], side.hidden[:, :r] @ query.meaning[row], side.hub], axis=1
        )
        return self.mlp.logits(side.hidden[:, r:], query.hidden[row], scalars)

    def relevance(self, side: PhotoSide, query: QuerySide, row: int) -> np.ndarray:
        """Calibrated relevance of gathered photos for query `row`: (n,) float32 in 0..1."""
        return self.calibration.apply(self.logits(side, query, row))

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"map.{f.name}": getattr(self.map, f.name) for f in fields(LinearMap)}
        arrays |= {f"meaning.{f.name}": getattr(self.meaning, f.name) for f in fields(LinearMap)}
        arrays |= {f"mlp.{f.name}": getattr(self.mlp, f.name) for f in fields(MLP)}
        return {**arrays, "bank": self.bank, "idf": self.lexicon.idf}

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            digest.update(name.encode() + np.ascontiguousarray(array, "<f4").tobytes())
        extra = [self.image_encoder, self.text_encoder, self.text_encoder_name, self.lexicon.words, self.hub_weight]
        extra += [self.calibration.as_dict(), self.no_match]
        digest.update(json.dumps(extra).encode())
        return digest.hexdigest()[:12]


def check_place(folder: Path) -> None:
    """Raise PhotoseekError unless `folder` is a ranker already, empty, or not there and its parent can be written."""
    if folder.exists() and not folder.is_dir():
        raise PhotoseekError(f"{folder} is a file; give a folder for the ranker with -o")
    if folder.exists() and not (folder / "ranker.json").exists() and any(folder.iterdir()):
        raise PhotoseekError(f"{folder} is not a ranker and not empty; give another folder with -o")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoseekError(f"ranker {folder} cannot be written: {error.strerror}") from None
    if not os.access(folder.parent, os.W_OK):
        raise PhotoseekError(f"ranker {folder} cannot be written: {folder.parent} is read-only")


def _pack(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Matrices as int8 with one float32 scale a column, all else as float32: half the size of float16."""
    packed = {}
    for name, array in arrays.items():
        if array.ndim == 2 and len(array) >= 64:
            # Scales of 12 bits make every product below exact, so that packing twice changes nothing.
            fraction, exponent = np.frexp(np.maximum(np.abs(array).max(axis=0), 1e-12) / 127)
            scale = np.ldexp(np.ceil(fraction * 4096) / 4096, exponent).astype(np.float32)
            packed[name] = np.ascontiguousarray(np.rint(array / scale).astype(np.int8))
            packed[name + ".scale"] = scale
        else:
            packed[name] = np.ascontiguousarray(array, np.float32)
    return packed


def _unpack(packed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, array in packed.items():
        if array.dtype == np.int8:
            arrays[name] = array.astype(np.float32) * packed[name + ".scale"]
        elif not name.endswith(".scale"):
            arrays[name] = array
    return arrays

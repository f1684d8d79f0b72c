"""Moderation: what an index's policy does to its searches. Texts are looked through; photos are scored once a view.

photo x prompts --ranker--> relevance --point--> held-back rows, kept beside the view; blocked --> audit log
"""

import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from indexer.index import Index
from indexer.views.view import EncodedPhotos, View
from reranker.models.joint_space import EncodedQueries
from reranker.moderation.photo_rule import PhotoRule, photo_scores
from reranker.moderation.policy import Policy
from reranker.ranker import Ranker
from search.moderation.audit_log import AuditLog

BLOCK = 4_096  # photos scored at a time

Progress = Callable[[int, int], None]


class Moderation:
    """The policy of an open index, with its audit log.

    Scores are kept in the view's folder under the policy's digest and the ranker's id: whoever first needs those of
    photos that have none, computes them, so an edited policy and photos that come later are covered. `encode_queries`
    maps texts for the view; `on_problem` is told, instead of an error, what of the log or the scores cannot be written.
    """

    def __init__(
        self,
        index: Index,
        view: View,
        ranker: Ranker,
        encode_queries: Callable[[Sequence[str]], EncodedQueries],
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        if index.policy is None:
            raise ValueError("the index has no policy")
        self.policy = Policy.load(index.policy)
        self._index, self._view, self._ranker = index, view, ranker
        self._encode_queries = encode_queries
        self._on_problem = on_problem or _warn
        self._log = AuditLog(index.folder)
        self._reported: set[str] = set()

    def block_text(self, text: str) -> str | None:
        """The disclaimer for a query that the policy blocks, which is logged; None where it passes."""
        found = self.policy.find(text)
        if found is None:
            return None
        self._write([{"event": "query", "query": text, **self._rule(), "term": found.term, "words": found.words}])
        return self.policy.disclaimer

    def block_photo(self, photo: str, side: EncodedPhotos, row: int | None) -> str | None:
        """The disclaimer for a photo asked with, which is logged; None where it passes.

        side: of one photo; row: its row in the index, if it has one.
        """
        rule = self.policy.photos
        if rule is None:
            return None
        values, prompts = self._shares(side)
        score, prompt = float(values[0]), int(prompts[0])
        if row is not None and row < self._view.total_rows and self.scores[0][row] >= rule.point:
            # What is held back stays so, whatever another batch size makes of the last bits.
            score, prompt = float(self.scores[0][row]), int(self.scores[1][row])
        if score < rule.point:
            return None
        self._write([{"event": "like", "photo": photo, **self._photo_rule(rule, score, rule.prompts[prompt])}])
        return self.policy.disclaimer

    @cached_property
    def held(self) -> np.ndarray:
        """Sorted rows, (h,) int64, that no search may show; dead ones are among them."""
        rule = self.policy.photos
        return np.zeros(0, np.int64) if rule is None else np.flatnonzero(self.scores[0] >= rule.point)

    @cached_property
    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every row: `prompt_share`'s share, (n,) float32, and strongest prompt, (n,) int16; zeros without a photo
        rule."""
        return self.prepare()

    def prepare(self, on_progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray]:
        """`scores`, with what is not there yet computed and kept for all searches to come."""
        total = self._view.total_rows
        if self.policy.photos is None:
            return np.zeros(total, np.float32), np.zeros(total, np.int16)
        values, prompts = self._stored()
        if len(values) < total:
            added = self._compute(np.arange(len(values), total), on_progress)
            values, prompts = np.concatenate([values, added[0]]), np.concatenate([prompts, added[1]])
            self._keep(self.policy.photos, values, prompts)
        return values[:total], prompts[:total]

    def held_back(self) -> list[tuple[str, str, float]]:
        """(path, prompt, score) of every photo that is held back, in the order of the rows."""
        rule = self.policy.photos
        return [] if rule is None else self._photos(rule, self.held, *self.scores)

    def _compute(self, rows: np.ndarray, on_progress: Progress | None) -> tuple[np.ndarray, np.ndarray]:
        view = self._view
        values, prompts = np.empty(len(rows), np.float32), np.empty(len(rows), np.int16)
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            here = slice(start, start + len(part))
            side = EncodedPhotos(
                view.gather_z(part), view.gather_hubness(part), view.gather_hidden(part), view.gather_regions(part)
            )
            values[here], prompts[here] = self._shares(side)
            if on_progress is not None:
                on_progress(start + len(part), len(rows))
        return values, prompts

    def _shares(self, side: EncodedPhotos) -> tuple[np.ndarray, np.ndarray]:
        rule = self.policy.photos
        assert rule is not None
        return photo_scores(rule, self._ranker, side, self._prompts)

    @cached_property
    def _prompts(self) -> EncodedQueries:
        return self._encode_queries(() if self.policy.photos is None else self.policy.photos.texts)

    @property
    def _file(self) -> Path:
        return self._view.folder / f"policy-{self.policy.digest}-{self._ranker.id}.safetensors"

    def _stored(self) -> tuple[np.ndarray, np.ndarray]:
        """What was kept of the scores; of no row, if that is missing or damaged."""
        try:
            arrays = load_file(self._file)
            values, prompts = arrays["values"], arrays["prompts"]
        except (OSError, KeyError, SafetensorError):
            return np.zeros(0, np.float32), np.zeros(0, np.int16)
        return values, prompts

    def _keep(self, rule: PhotoRule, values: np.ndarray, prompts: np.ndarray) -> None:
        """Log the photos that are held back from now on, then keep the scores; once, however many processes do so."""
        try:
            with FileLock(self._view.folder / "policy.lock"):
                known = len(self._stored()[0])
                if known >= len(values):
                    return
                new = np.flatnonzero(values[known:] >= rule.point) + known
                self._write(
                    {"event": "photo", "photo": path, **self._photo_rule(rule, score, prompt)}
                    for path, prompt, score in self._photos(rule, new, values, prompts)
                )
                for path in self._view.folder.glob("policy-*.safetensors"):
                    if path != self._file:
                        path.unlink(missing_ok=True)
                with tempfile.TemporaryDirectory(prefix=".policy-", dir=self._view.folder) as scratch:
                    save_file({"values": values, "prompts": prompts}, Path(scratch) / self._file.name)
                    (Path(scratch) / self._file.name).chmod(0o644)
                    os.replace(Path(scratch) / self._file.name, self._file)
        except (OSError, SafetensorError) as error:
            self._report(f"what policy {self.policy.name} says of the photos cannot be kept: {_reason(error)}")

    def _photos(
        self, rule: PhotoRule, rows: np.ndarray, values: np.ndarray, prompts: np.ndarray
    ) -> list[tuple[str, str, float]]:
        photos = self._index.catalogue.photos_of_rows(rows.tolist())
        return [
            (os.fsdecode(os.path.join(photo.root, photo.path)), rule.prompts[prompts[row]], float(values[row]))
            for row in rows.tolist()
            for photo in photos[row]
        ]

    def _rule(self) -> dict[str, Any]:
        return {"policy": self.policy.name, "digest": self.policy.digest}

    def _photo_rule(self, rule: PhotoRule, score: float, prompt: str) -> dict[str, Any]:
        found = {"prompt": prompt, "score": round(score, 4), "point": rule.point}
        return {**self._rule(), **found, "ranker": self._ranker.id}

    def _write(self, entries: Any) -> None:
        try:
            self._log.write(entries)
        except OSError as error:
            self._report(f"the audit log {self._log.path} cannot be written: {_reason(error)}")

    def _report(self, problem: str) -> None:
        """Once a searcher: a batch of blocked queries would say it thousands of times."""
        if problem not in self._reported:
            self._reported.add(problem)
            self._on_problem(problem)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _warn(problem: str) -> None:
    warnings.warn(problem, RuntimeWarning, stacklevel=2)

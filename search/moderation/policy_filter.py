"""Apply the policy of an index to its searches: block queries, hold photos back, log both.

photo x prompts --ranker--> relevance --operating point--> rows that are held back, stored beside the view
"""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError

from indexer.errors import PhotoseekWarning
from indexer.index import Index
from indexer.views.view import EncodedPhotos, View
from reranker.models.joint_space import EncodedQueries
from reranker.moderation.photo_rule import PhotoRule, photo_scores
from reranker.moderation.policy import Policy
from reranker.ranker import Ranker
from search.moderation.audit_log import AuditLog
from search.moderation.stored_scores import PhotoScores, read_scores, write_scores

# Photos scored at a time.
BLOCK = 4_096

Progress = Callable[[int, int], None]


class HeldBackPhoto(NamedTuple):
    """A photo that the policy holds back: its absolute path, the most relevant prompt, and its score, 0 to 1."""

    path: str
    prompt: str
    score: float


class Moderation:
    """Apply the policy of an open index.

    The scores of photos are stored in the folder of the view, under the policy's digest and the ranker's id. Whoever
    first needs the scores of photos that have none computes them, so an edited policy and new photos are covered.

    Args:
        index: The index; it must have a policy.
        view: The view that is searched.
        ranker: The ranker of the view.
        encode_queries: Encodes texts for the view.
        on_problem: Called, instead of an error, when the audit log or the scores cannot be written; else a
            RuntimeWarning.

    Raises:
        PhotoseekError: The policy cannot be read.
        ValueError: The index has no policy.
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

    def block_text(self, text: str, searched: str) -> str | None:
        """Check a query, and log it if the policy blocks it.

        Args:
            text: The query as it was typed.
            searched: What is searched for, which may be another text: a typing error is mended.

        Returns:
            The disclaimer if either text is blocked, else None.
        """
        found = self.policy.find(text) or self.policy.find(searched)
        if found is None:
            return None
        self._write_log(
            [{"event": "query", "query": text, **self._policy_entry(), "term": found.term, "words": found.words}]
        )
        return self.policy.disclaimer

    def block_photo(self, path: str, photo: EncodedPhotos, row: int | None) -> str | None:
        """Check the photo that a search by photo asks with, and log it if the policy blocks it.

        Args:
            path: Its absolute path.
            photo: The encoded photo, of one row.
            row: Its row in the index; None if it has none.

        Returns:
            The disclaimer if the photo is blocked, else None.
        """
        rule = self.policy.photos
        if rule is None:
            return None
        scores = self._score(rule, photo)
        if row is not None and row < self._view.total_rows and self.scores.shares[row] >= rule.point:
            # A photo that is held back is blocked even if its score, computed alone, differs in the last bits.
            scores = PhotoScores(self.scores.shares[row : row + 1], self.scores.prompts[row : row + 1])
        score, prompt = float(scores.shares[0]), int(scores.prompts[0])
        if score < rule.point:
            return None
        self._write_log([{"event": "like", "photo": path, **self._photo_entry(rule, score, rule.prompts[prompt])}])
        return self.policy.disclaimer

    @cached_property
    def held_back_rows(self) -> np.ndarray:
        """Return the sorted rows that no search may show, (h,) int64; rows of deleted photos are among them."""
        rule = self.policy.photos
        return np.zeros(0, np.int64) if rule is None else np.flatnonzero(self.scores.shares >= rule.point)

    @cached_property
    def scores(self) -> PhotoScores:
        """Return the scores of every row of the view; zeros without a photo rule."""
        return self.prepare()

    def prepare(self, on_progress: Progress | None = None) -> PhotoScores:
        """Compute the scores that are not stored yet, and store them for later searches.

        Args:
            on_progress: Called with (done, total) photos that are scored.

        Returns:
            The scores of every row of the view; zeros without a photo rule.
        """
        total = self._view.total_rows
        if self.policy.photos is None:
            return PhotoScores.zeros(total)
        scores = read_scores(self._file)
        if len(scores) < total:
            added = self._score_rows(self.policy.photos, np.arange(len(scores), total), on_progress)
            scores = scores.followed_by(added)
            self._store(self.policy.photos, scores)
        return scores.first(total)

    def held_back_photos(self) -> list[HeldBackPhoto]:
        """Return every photo that is held back, in the order of the rows."""
        rule = self.policy.photos
        return [] if rule is None else self._photos_of(rule, self.held_back_rows, self.scores)

    def _score_rows(self, rule: PhotoRule, rows: np.ndarray, on_progress: Progress | None) -> PhotoScores:
        """Compute the scores of rows (n,) of the view, block by block."""
        view = self._view
        shares, prompts = np.empty(len(rows), np.float32), np.empty(len(rows), np.int16)
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            scores = self._score(rule, view.gather(part))
            here = slice(start, start + len(part))
            shares[here], prompts[here] = scores.shares, scores.prompts
            if on_progress is not None:
                on_progress(start + len(part), len(rows))
        return PhotoScores(shares, prompts)

    def _score(self, rule: PhotoRule, photos: EncodedPhotos) -> PhotoScores:
        """Compute the scores of n encoded photos."""
        return PhotoScores(*photo_scores(rule, self._ranker, photos, self._rule_texts))

    @cached_property
    def _rule_texts(self) -> EncodedQueries:
        """Return the encoded texts of the photo rule."""
        return self._encode_queries(() if self.policy.photos is None else self.policy.photos.texts)

    @property
    def _file(self) -> Path:
        """Return the file of the stored scores."""
        return self._view.folder / f"policy-{self.policy.digest}-{self._ranker.id}.safetensors"

    def _store(self, rule: PhotoRule, scores: PhotoScores) -> None:
        """Log the photos that are newly held back, then store the scores; once, even if several processes do so."""
        try:
            with FileLock(self._view.folder / "policy.lock"):
                known = len(read_scores(self._file))
                if known >= len(scores):
                    return
                new = np.flatnonzero(scores.shares[known:] >= rule.point) + known
                self._write_log(
                    {"event": "photo", "photo": photo.path, **self._photo_entry(rule, photo.score, photo.prompt)}
                    for photo in self._photos_of(rule, new, scores)
                )
                write_scores(self._file, scores)
        except (OSError, SafetensorError) as error:
            self._report(f"the photo scores of policy {self.policy.name} cannot be stored: {_reason(error)}")

    def _photos_of(self, rule: PhotoRule, rows: np.ndarray, scores: PhotoScores) -> list[HeldBackPhoto]:
        """Return the photos of some rows with their scores; a row of exact duplicates has several."""
        photos = self._index.catalogue.photos_of_rows(rows.tolist())
        return [
            HeldBackPhoto(
                os.fsdecode(os.path.join(photo.root, photo.path)),
                rule.prompts[scores.prompts[row]],
                float(scores.shares[row]),
            )
            for row in rows.tolist()
            for photo in photos[row]
        ]

    def _policy_entry(self) -> dict[str, Any]:
        """Return the keys of an audit-log entry that describe the policy."""
        return {"policy": self.policy.name, "digest": self.policy.digest}

    def _photo_entry(self, rule: PhotoRule, score: float, prompt: str) -> dict[str, Any]:
        """Return the keys of an audit-log entry that describe the policy and a photo under it."""
        found = {"prompt": prompt, "score": round(score, 4), "point": rule.point}
        return {**self._policy_entry(), **found, "ranker": self._ranker.id}

    def _write_log(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Write entries to the audit log; report it if that fails."""
        try:
            self._log.write(entries)
        except OSError as error:
            self._report(f"the audit log {self._log.path} cannot be written: {_reason(error)}")

    def _report(self, problem: str) -> None:
        """Report a problem once, as a batch of blocked queries would repeat it thousands of times."""
        if problem not in self._reported:
            self._reported.add(problem)
            self._on_problem(problem)


def _reason(error: Exception) -> str:
    """Return the reason of an error in words."""
    return getattr(error, "strerror", None) or str(error)


def _warn(problem: str) -> None:
    """Report a problem as a warning."""
    warnings.warn(problem, PhotoseekWarning, stacklevel=2)

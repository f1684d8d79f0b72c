"""Policies: term lists that keep protected subjects out of training and out of search."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import PhotoseekError
from reranker.judgments import Judgments, photo_of

SHIPPED = Path(__file__).parent / "policies"


@dataclass(frozen=True, slots=True)
class Policy:
    """A named list of terms; a text that holds one of them is blocked, unless an exception covers the term."""

    name: str
    disclaimer: str
    pattern: re.Pattern[str]
    exceptions: re.Pattern[str] | None

    @classmethod
    def load(cls, name: str) -> "Policy":
        """A shipped policy by its name (`minors`), or one's own TOML file by its path."""
        path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            exceptions = _pattern(values["exceptions"]) if values.get("exceptions") else None
            return cls(path.stem, str(values["disclaimer"]), _pattern(values["terms"]), exceptions)
        except FileNotFoundError:
            shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.toml")))
            raise PhotoseekError(f"no policy {name!r}; there are: {shipped}, or a path to a .toml file") from None
        except KeyError as error:
            raise PhotoseekError(f"policy {path} has no {error}; it needs a disclaimer and a list of terms") from None
        except (OSError, ValueError) as error:
            raise PhotoseekError(f"policy {path} cannot be read: {error}") from None

    def blocks(self, text: str) -> bool:
        """Whether the text names what the policy protects."""
        text = text.replace("\u2019", "'")
        if self.exceptions is not None:
            text = self.exceptions.sub(" ", text)
        return self.pattern.search(text) is not None

    def blocked_photos(self, captions: Iterable[tuple[str, str]]) -> set[str]:
        """Photos that any of their own captions, (id, text), puts under the policy."""
        return {photo_of(caption) for caption, text in captions if self.blocks(text)}

    def filter(self, judgments: Judgments) -> Judgments:
        """Training data without the blocked captions and without every photo that such a caption describes."""
        blocked = self.blocked_photos(judgments.captions.items())
        kept = judgments.restrict(name for name in judgments.photos if name not in blocked)
        return kept.without_captions(caption for caption, text in kept.captions.items() if self.blocks(text))


def _pattern(terms: object) -> re.Pattern[str]:
    """Any of the terms as whole words; `*` at the end of a term stands for any ending."""
    if not isinstance(terms, list) or not terms or not all(isinstance(t, str) and t.strip() for t in terms):
        raise ValueError("terms and exceptions are lists of texts, none blank")
    words = [re.escape(term.strip()).replace(r"\*", r"\w*").replace(r"\ ", r"\s+") for term in terms]
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)

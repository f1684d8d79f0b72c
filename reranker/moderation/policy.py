"""Policies: files of terms and prompts that keep protected subjects out of training and search."""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexer.errors import PhotoseekError
from indexer.user_paths import absolute_path
from reranker.judgments.judgments import Judgments, photo_of
from reranker.moderation.photo_rule import PhotoRule
from reranker.moderation.terms import FoundTerm, Terms

SHIPPED = Path(__file__).parent / "policies"
# The keys of a policy file.
KEYS = ("disclaimer", "terms", "exceptions", "words", "forms", "photos")
# People say that a caption describes a photo if the median of the experts' grades, or the crowd's share of yes, is at
# least this.
DESCRIBES_GRADE = 4
DESCRIBES_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Policy:
    """A named set of rules, which blocks texts that hold one of its terms and photos that its photo rule is true of.

    Attributes:
        name: Name of its file without the ending.
        digest: 12 hexadecimal digits of the SHA-256 of the file.
        disclaimer: What a search says instead of showing hits.
        terms: The terms.
        photos: The photo rule, None where the policy has none.
    """

    name: str
    digest: str
    disclaimer: str
    terms: Terms
    photos: PhotoRule | None = None

    @classmethod
    def load(cls, name: str) -> "Policy":
        """Load a policy.

        Args:
            name: Name of a shipped policy, such as `minors`, or the path of a file that ends in `.toml`.

        Returns:
            The policy.

        Raises:
            PhotoseekError: The file is missing or cannot be read, lacks a key, or has an unknown one.
        """
        path = absolute_path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
        try:
            content = path.read_bytes()
            values = tomllib.loads(content.decode("utf-8-sig"))
            unknown = [key for key in values if key not in KEYS]
            if unknown:
                raise ValueError(f"{unknown[0]!r} is none of {', '.join(KEYS)}")
            terms = Terms.of(
                _texts(values["terms"], "terms"),
                _texts(values["exceptions"], "exceptions") if values.get("exceptions", []) != [] else (),
                {key: _texts(entries, f"words.{key}") for key, entries in _table(values, "words").items()},
                {form: _texts([word], f"forms.{form}")[0] for form, word in _table(values, "forms").items()},
            )
            photos = _photo_rule(_table(values, "photos")) if "photos" in values else None
            disclaimer = _texts([values["disclaimer"]], "disclaimer")[0]
        except FileNotFoundError:
            shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.toml")))
            raise PhotoseekError(f"no policy {name!r}; there are: {shipped}, or a path to a .toml file") from None
        except KeyError as error:
            raise PhotoseekError(f"policy {path} has no {error}; it needs a disclaimer and a list of terms") from None
        except (OSError, ValueError) as error:
            raise PhotoseekError(f"policy {path} cannot be read: {error}") from None
        return cls(path.stem, hashlib.sha256(content).hexdigest()[:12], disclaimer, terms, photos)

    def find(self, text: str) -> FoundTerm | None:
        """Return the term for which a text is blocked; None where it passes."""
        return self.terms.find(text)

    def blocks(self, text: str) -> bool:
        """Tell whether a text names what the policy protects."""
        return self.find(text) is not None

    def blocked_photos(self, captions: Iterable[tuple[str, str]]) -> set[str]:
        """List the photos that have a caption which is blocked.

        Args:
            captions: (id, text) of each caption.

        Returns:
            Names of the photos.
        """
        return {photo_of(caption) for caption, text in captions if self.blocks(text)}

    def filter(self, judgments: Judgments) -> Judgments:
        """Leave out blocked captions and queries, and every photo that one of them describes.

        A caption describes the photo that it was written for and the photos of which people say so; a query describes
        the photo that it was written for.

        Args:
            judgments: Judged data.

        Returns:
            The rest of it.
        """
        captions = {caption for caption, text in judgments.captions.items() if self.blocks(text)}
        queries = tuple(query for query in judgments.queries if self.blocks(query.text))
        photos = {photo_of(caption) for caption in captions} | {query.photo for query in queries}
        photos |= {
            row.photo
            for row in judgments.expert
            if row.caption in captions and sorted(row.grades)[1] >= DESCRIBES_GRADE
        }
        photos |= {row.photo for row in judgments.crowd if row.caption in captions and row.share >= DESCRIBES_SHARE}
        kept = judgments.restrict(name for name in judgments.photos if name not in photos).without_captions(captions)

        def passing(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in names if name not in photos)

        return replace(
            kept,
            sets={name: passing(names) for name, names in judgments.sets.items()},
            splits={name: passing(names) for name, names in judgments.splits.items()},
            queries=tuple(query for query in judgments.queries if query.photo not in photos),
            test_photos=passing(judgments.test_photos),
        )


def _photo_rule(values: Mapping[str, Any]) -> PhotoRule:
    """Read the photo rule in [photos] of a policy file. Raises ValueError."""
    if set(values) != {"prompts", "contrast", "point"}:
        raise ValueError("[photos] holds prompts, contrast and point, and nothing else")
    point = values["point"]
    if isinstance(point, bool) or not isinstance(point, int | float) or not 0 < point <= 1:
        raise ValueError("photos.point is a share over 0 and up to 1")
    prompts, contrast = (tuple(_texts(values[name], f"photos.{name}")) for name in ("prompts", "contrast"))
    return PhotoRule(prompts, contrast, float(point))


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Read a table of a policy file, empty where there is none. Raises ValueError."""
    found = values.get(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{name} is a table: [{name}]")
    return found


def _texts(values: object, name: str) -> list[str]:
    """Read a list of texts of a policy file. Raises ValueError.

    A single text would be read letter by letter, and a blank term would block every text.
    """
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v.strip() for v in values):
        raise ValueError(f"{name}: texts are wanted, none blank")
    return values

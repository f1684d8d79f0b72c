"""Hold every number that changes a ranking and is not a learned weight; a ranker keeps its own in `ranker.json`."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """Weights of the heads in the candidate score, beside the map's weight of 1; chosen on held-out training photos.

    Attributes:
        meaning: Weight of the meaning head's cosine.
        class_names: Weight of the class-name head's cosine, times the name gate.
        hubness: Share of a photo's hubness that is taken off, times one minus the name gate.
    """

    meaning: float = 0.25
    class_names: float = 3.0
    hubness: float = 0.5


@dataclass(frozen=True, slots=True)
class HubnessSettings:
    """Numbers of nearest neighbours that a hubness is the mean over (CSLS takes 10; Conneau et al. 2018).

    Attributes:
        captions: Nearest training captions of a photo, in the map and in meaning.
        photos: Nearest training photos of a query.
        late_captions: Nearest training captions of a photo by late interaction.
    """

    captions: int = 10
    photos: int = 5
    late_captions: int = 5


@dataclass(frozen=True, slots=True)
class ClassNameSettings:
    """Settings of the comparison of a query with the class names.

    Attributes:
        temperature: Two names whose cosines differ by this much count in the ratio e.
        nearest: How many of the nearest names the gate looks at.
        gate_scale: Factor of their mean cosine among the gate's inputs, which are otherwise entries of a unit vector.
        score_scale: Factor that brings a candidate score to the scale of the ranking MLP's logits.
    """

    temperature: float = 0.05
    nearest: int = 5
    gate_scale: float = 5.0
    score_scale: float = 10.0


@dataclass(frozen=True, slots=True)
class SmallGallerySettings:
    """Settings of the correction where few photos are searched; see `reranker.ranking.correct_small_gallery`.

    Attributes:
        few: At this number of photos or fewer the correction is whole.
        many: From this number on there is none; in between it falls with the logarithm of the number.
        strength: Share of a photo's mean caption score that is taken off; chosen on 1,000 held-out photos.
        likely: Photos this far behind the first hit, in logits, get all of it; nearer ones less.
    """

    few: int = 100
    many: int = 500
    strength: float = 0.6
    likely: float = 5.0


@dataclass(frozen=True, slots=True)
class ExclusionSettings:
    """Settings of exclusions (`--without`), which move photos down.

    Attributes:
        threshold: A photo comes behind all others if it is less sure than this that it does not fit the excluded text.
        penalty: Subtracted from the ranking score of such a photo, in logits.
    """

    threshold: float = 0.5
    penalty: float = 100.0


@dataclass(frozen=True, slots=True)
class RankingSettings:
    """The settings of a ranker; the defaults are those of new rankers.

    Attributes:
        candidates: How many candidates of a query are reranked, unless a search asks for more hits.
        lexical_weight: Norm of the lexical part of a text vector, beside the text encoder's unit vector.
        heads: Weights of the heads in the candidate score.
        hubness: Numbers of neighbours.
        class_names: The class-name head and its gate.
        small_gallery: The correction for small galleries.
        exclusion: What an exclusion does.
    """

    candidates: int = 200
    lexical_weight: float = 0.5
    heads: HeadWeights = field(default_factory=HeadWeights)
    hubness: HubnessSettings = field(default_factory=HubnessSettings)
    class_names: ClassNameSettings = field(default_factory=ClassNameSettings)
    small_gallery: SmallGallerySettings = field(default_factory=SmallGallerySettings)
    exclusion: ExclusionSettings = field(default_factory=ExclusionSettings)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as nested dicts of numbers, by name, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RankingSettings":
        """Read what `as_dict` gave.

        Raises:
            ValueError: A setting is missing, unknown or no number.
        """
        return cls(
            candidates=_number(values, "candidates", int),
            lexical_weight=_number(values, "lexical_weight", float),
            heads=HeadWeights(**_numbers(values, "heads", HeadWeights)),
            hubness=HubnessSettings(**_numbers(values, "hubness", HubnessSettings)),
            class_names=ClassNameSettings(**_numbers(values, "class_names", ClassNameSettings)),
            small_gallery=SmallGallerySettings(**_numbers(values, "small_gallery", SmallGallerySettings)),
            exclusion=ExclusionSettings(**_numbers(values, "exclusion", ExclusionSettings)),
        )


def _numbers(values: dict[str, Any], group: str, settings: type) -> dict[str, Any]:
    """Read a group's numbers by name, each of its field's type; refuse missing and unknown names."""
    found = values.get(group)
    names = {f.name: f.type for f in fields(settings)}
    if not isinstance(found, dict) or set(found) != set(names):
        raise ValueError(f"ranking settings {group} must have {', '.join(names)}")
    return {name: _number(found, name, int if kind in (int, "int") else float) for name, kind in names.items()}


def _number(values: dict[str, Any], name: str, kind: type[int] | type[float]) -> Any:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        raise ValueError(f"ranking setting {name} is {value!r}, no {'whole number' if kind is int else 'number'}")
    return kind(value)

"""What the figures say, in plain sentences: every number and every verdict in them comes from the figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reranker.evaluation.outcomes import LOST
from reranker.evaluation.results import Miss, Results, flat, value_of
from reranker.metrics.metrics import percentiles

# An AUROC below this separates too little to act on: Swets (1988) calls 0.7 the least that is useful for some purposes.
USEFUL_AUROC = 0.7
BASELINES = {
    "chance": "chance",
    "cosine": "cosine after CCA",
    "ridge_map": "a ridge map",
    "ridge_concatenated": "Ridge on the concatenated vector",
    "plain_net": "a plain net on the concatenated vector",
}


def conclusions(
    figures: Results,
    resampled: Mapping[str, np.ndarray],
    lost: Mapping[str, float] | None = None,
    photos: int = 0,
    missed: Sequence[Miss] | None = None,
    differing: Results | None = None,
) -> list[str]:
    """One sentence or two for every question that the figures answer.

    resampled: as of `Evaluation.resampled`; lost: as of `outcomes.losses` at 10; photos: of the course's test;
    missed: the targets that were not reached, None where none were set; differing: this ranker less another one.
    """
    leaves = flat(figures)
    says = [
        *_targets(missed),
        *_found(leaves, "official", "captions of the judged photos"),
        *_reranking(leaves, resampled),
        *_lost(lost),
        *_found(leaves, "course", "test queries, by a ranker that learned from the judged photos alone,"),
        *_baselines(leaves, resampled),
        *_people(leaves, resampled),
        *_calibration(leaves),
        *_no_match(leaves),
        *_hubs(leaves, photos),
        *_names(leaves),
        *_other(differing),
    ]
    return says or ["The protocols that ran give nothing to conclude from; the figures are below."]


def verdict(name: str, leaf: Any) -> str:
    """What a difference says: better, worse, or nothing that this data can show."""
    if not isinstance(leaf, dict) or leaf["low"] <= 0 <= leaf["high"]:
        return "no difference shown"
    return "better" if (leaf["value"] > 0) != less_is_better(name) else "worse"


def less_is_better(name: str) -> bool:
    """Whether a figure is an error, a crowding or a refusal of queries whose photo is there."""
    return name.endswith(("ece", "brier", "largest_share", "refused_present", "refused_present_of_100"))


def _targets(missed: Sequence[Miss] | None) -> list[str]:
    if missed is None:
        return []
    if not missed:
        return ["Every target that was set is reached."]
    return [f"Targets not reached: {'; '.join(map(str, missed))}."]


def _found(leaves: Mapping[str, Any], name: str, what: str) -> list[str]:
    if f"{name}.recall@10" not in leaves:
        return []
    first, ten = leaves[f"{name}.recall@1"], leaves[f"{name}.recall@10"]
    return [
        f"Of the {what} {_percent(ten)} find their photo among the first ten hits, {_percent(first)} as the very first."
    ]


def _reranking(leaves: Mapping[str, Any], resampled: Mapping[str, np.ndarray]) -> list[str]:
    gains = [
        (k, _paired(f"official.recall@{k}", f"official.candidates.recall@{k}", leaves, resampled)) for k in (1, 10)
    ]
    says = [f"{_points(gain)} at {k}" for k, gain in gains if gain is not None]
    if not says:
        return []
    clear = [k for k, gain in gains if gain is not None and gain[1] > 0]
    worse = [k for k, gain in gains if gain is not None and gain[2] < 0]
    effect = (
        "makes the ranking better" if clear and not worse else "makes the ranking worse" if worse else "changes little"
    )
    return [f"Reranking the candidates {effect}: recall moves by {' and by '.join(says)}."]


def _lost(lost: Mapping[str, float] | None) -> list[str]:
    if lost is None:
        return []
    parts = {name: lost[name] for name in LOST[2:]}
    total = sum(parts.values())
    if total == 0:
        return ["No query is lost: every one finds its photo among the first ten."]
    worst = max(parts, key=lambda name: parts[name])
    where = {
        LOST[2]: "most of them had their photo there before reranking moved it out, so the reranker is what to mend",
        LOST[
            3
        ]: "most of them have their photo among the candidates but behind others, so a better order has most to win",
        LOST[4]: "most of them do not even have it among the candidates, so the candidates are what to mend",
    }[worst]
    shares = ", ".join(f"{share:.1%} {name}" for name, share in parts.items())
    return [f"{total:.1%} of the captions do not find their photo among the first ten ({shares}): {where}."]


def _baselines(leaves: Mapping[str, Any], resampled: Mapping[str, np.ndarray]) -> list[str]:
    # Baselines learn from the judged photos alone, so the ranker that does too is the fair one to hold against them.
    name = next((name for name in ("course", "course_default") if f"{name}.recall@10" in leaves), None)
    beaten: list[str] = []
    level: list[str] = []
    above: list[str] = []
    for key, words in BASELINES.items():
        gain = None if name is None else _paired(f"{name}.recall@10", f"baseline.{key}.recall@10", leaves, resampled)
        if gain is not None:
            (beaten if gain[1] > 0 else above if gain[2] < 0 else level).append(f"{words} ({_points(gain)})")
    says = []
    if beaten:
        says.append(f"On the course's test, recall@10 of {name} beats {_listed(beaten)}.")
    if level:
        says.append(f"Not beaten beyond doubt: {_listed(level)}.")
    if above:
        says.append(f"Worse than {_listed(above)}.")
    return says


def _people(leaves: Mapping[str, Any], resampled: Mapping[str, np.ndarray]) -> list[str]:
    says = []
    for who, name, coefficient in (("experts", "expert", "tau_c"), ("the crowd", "crowd", "tau_b")):
        learned, meaning = f"{name}.{coefficient}", f"{name}_meaning.{coefficient}"
        if learned in leaves:
            text = f"Relevance agrees with {who} by {coefficient.replace('_', '-')} {_interval(leaves[learned])}"
            gain = _paired(learned, meaning, leaves, resampled)
            if gain is not None and (gain[1] > 0 or gain[2] < 0):
                effect = "adds to" if gain[1] > 0 else "takes away from"
                text += f"; learning from judgments {effect} what meaning alone has ({value_of(leaves[meaning]):.3f})"
            elif gain is not None:
                alone = value_of(leaves[meaning])
                text += f", not clearly other than by meaning alone ({alone:.3f}): judgments add nothing that shows"
            says.append(text + ".")
    return says


def _calibration(leaves: Mapping[str, Any]) -> list[str]:
    if "calibration.ece" not in leaves:
        return []
    error, skill = leaves["calibration.ece"], leaves.get("calibration.brier_skill")
    says = f"Shown relevance is off by {value_of(error):.3f} on average from the share of people who say yes"
    if skill is None:
        return [f"{says}; all pairs have one and the same share, so no skill can show."]
    held = "better than" if isinstance(skill, dict) and skill["low"] > 0 else "not clearly better than"
    return [
        f"{says}; its squared error is {held} that of always saying the base rate (Brier skill {_interval(skill)})."
    ]


def _no_match(leaves: Mapping[str, Any]) -> list[str]:
    leaf = leaves.get("no_match.auroc_removed")
    if leaf is None:
        return []
    use = "too little to rely on" if value_of(leaf) < USEFUL_AUROC else "well enough to act on"
    text = f"Whether a query's photo is there, the no-match decision tells {use} (AUROC {_interval(leaf)})"
    foreign = leaves.get("no_match.auroc_foreign")
    if foreign is not None:
        text += f"; whether the gallery shows other subjects altogether, with {_interval(foreign)}"
    missed = leaves["no_match.refused_present"]
    return [f"{text}. It refuses {value_of(missed):.1%} of the queries whose photo is there."]


def _hubs(leaves: Mapping[str, Any], photos: int) -> list[str]:
    leaf = leaves.get("hubs.largest_share")
    if leaf is None or not photos:
        return []
    times = value_of(leaf) * photos / min(10, photos)
    return [
        f"The most crowding photo of the course's test is in the first ten of {_percent(leaf)} of the queries, "
        f"{times:.1f} times an even share."
    ]


def _names(leaves: Mapping[str, Any]) -> list[str]:
    inside, outside = leaves.get("breadth.recall@10"), leaves.get("breadth_outside.recall@10")
    if inside is None:
        return []
    text = f"Names of things find {_percent(inside)} of their photos within ten hits"
    if outside is not None:
        text += f", names that the image encoder never learned {_percent(outside)}"
    return [f"{text}."]


def _other(differing: Results | None) -> list[str]:
    if differing is None:
        return []
    said = {
        word: [name for name, leaf in differing.items() if verdict(name, leaf) == word] for word in ("better", "worse")
    }
    parts = [f"{word} in {_listed(names)}" for word, names in said.items() if names]
    return [f"Beside the other ranker, this one is {'; '.join(parts) or 'in no figure different beyond doubt'}."]


def _paired(
    name: str, other: str, leaves: Mapping[str, Any], resampled: Mapping[str, np.ndarray]
) -> tuple[float, float, float] | None:
    """name - other with the interval of the paired bootstrap; None where one is missing or of other draws."""
    if name not in leaves or other not in leaves or len(resampled.get(name, ())) != len(resampled.get(other, (0,))):
        return None
    return (value_of(leaves[name]) - value_of(leaves[other]), *percentiles(resampled[name] - resampled[other]))


def _points(gain: tuple[float, float, float]) -> str:
    return f"{100 * gain[0]:+.1f} points [{100 * gain[1]:+.1f}, {100 * gain[2]:+.1f}]"


def _percent(leaf: Any) -> str:
    interval = f" [{100 * leaf['low']:.1f}, {100 * leaf['high']:.1f}]" if isinstance(leaf, dict) else ""
    return f"{100 * value_of(leaf):.1f}%{interval}"


def _interval(leaf: Any) -> str:
    interval = f" [{leaf['low']:.3f}, {leaf['high']:.3f}]" if isinstance(leaf, dict) else ""
    return f"{value_of(leaf):.3f}{interval}"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"

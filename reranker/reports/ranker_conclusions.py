"""Conclusions from results, in plain sentences: every number and every verdict in them follows from the results."""

from collections.abc import Mapping, Sequence

from reranker.evaluation.results import Miss, Result, Results, flatten, value_of
from reranker.metrics.bootstrap import Measured, paired_difference
from reranker.metrics.outcomes import LOST_IN_CANDIDATES, LOST_IN_RERANKING, RANKED_BEHIND

# An AUROC below this separates too little to act on: Swets (Science 240, 1988) calls 0.7 useful for some purposes.
USEFUL_AUROC = 0.7
BASELINES = {
    "chance": "chance",
    "cosine": "cosine after CCA",
    "ridge_map": "a ridge map",
    "ridge_concatenated": "Ridge on the concatenated vector",
    "plain_net": "a plain net on the concatenated vector",
}
# Endings of the names of results that are better where they are less.
LESS_IS_BETTER = (
    "ece",
    "brier",
    "largest_share",
    "refused_present",
    "refused_present_of_100",
    "right_refused",
    "right_under_0.15",
    "first_five_tie",
)
# For each way to lose a query: what it says where most are lost that way.
ADVICE = {
    LOST_IN_RERANKING: "most of them had their photo there until reranking moved it out, so improve the reranker first",
    RANKED_BEHIND: "most of them have their photo among the candidates but behind others, so improve the ranking first",
    LOST_IN_CANDIDATES: "most of them do not even have it among the candidates, so improve the candidates first",
}


def conclusions(
    results: Results,
    outcomes: Mapping[str, float] | None = None,
    photos: int = 0,
    missed: Sequence[Miss] | None = None,
    differences: Mapping[str, Result] | None = None,
) -> list[str]:
    """Write one or two sentences for every question that the results answer.

    Args:
        results: The results of a ranker.
        outcomes: Share of queries with each outcome, as of `outcomes.outcome_shares` at 10.
        photos: Number of photos of the course's test.
        missed: The thresholds that were missed; None where none were set.
        differences: Results of this ranker less those of another one, by full name.

    Returns:
        The sentences.
    """
    named = flatten(results)
    says = [
        *_targets(missed),
        *_recall(named, "official", "captions of the judged photos"),
        *_reranking(named),
        *_lost_queries(outcomes),
        *_recall(named, "course", "test queries, by a ranker that learned from the judged photos alone,"),
        *_baselines(named),
        *_agreement(named),
        *_calibration(named),
        *_no_match(named),
        *_hubs(named, photos),
        *_names(named),
        *_other_photos(named),
        *_everyday(named),
        *_other_ranker(differences),
    ]
    return says or ["The protocols that ran give nothing to conclude from; the figures are below."]


def verdict(name: str, difference: Result) -> str:
    """Say whether a difference shows that a ranker is better or worse.

    Args:
        name: Full name of the result.
        difference: Its value for one ranker less that for another.

    Returns:
        `better`, `worse`, or `no difference shown` where the interval holds 0 or there is none.
    """
    if not isinstance(difference, Measured) or difference.low <= 0 <= difference.high:
        return "no difference shown"
    return "better" if (difference.value > 0) != less_is_better(name) else "worse"


def less_is_better(name: str) -> bool:
    """Tell whether a result is an error, a share of hubs, or of right photos that are refused or look unlikely."""
    return name.endswith(LESS_IS_BETTER)


def _targets(missed: Sequence[Miss] | None) -> list[str]:
    if missed is None:
        return []
    if not missed:
        return ["Every target that was set is reached."]
    return [f"Targets not reached: {'; '.join(map(str, missed))}."]


def _recall(named: Mapping[str, Result], protocol: str, queries: str) -> list[str]:
    if f"{protocol}.recall@10" not in named:
        return []
    first, ten = named[f"{protocol}.recall@1"], named[f"{protocol}.recall@10"]
    return [
        f"Of the {queries} {_percent(ten)} find their photo among the first ten hits, "
        f"{_percent(first)} as the very first."
    ]


def _reranking(named: Mapping[str, Result]) -> list[str]:
    gains = {k: _gain(named, f"official.recall@{k}", f"official.candidates.recall@{k}") for k in (1, 10)}
    clear = {k: gain for k, gain in gains.items() if gain is not None}
    if not clear:
        return []
    better = any(gain.low > 0 for gain in clear.values())
    worse = any(gain.high < 0 for gain in clear.values())
    effect = "makes the ranking worse" if worse else "makes the ranking better" if better else "changes little"
    moves = " and by ".join(f"{_points(gain)} at {k}" for k, gain in clear.items())
    return [f"Reranking the candidates {effect}: recall moves by {moves}."]


def _lost_queries(outcomes: Mapping[str, float] | None) -> list[str]:
    if outcomes is None:
        return []
    lost = {name: outcomes[name] for name in ADVICE}
    total = sum(lost.values())
    if total == 0:
        return ["No query is lost: every one finds its photo among the first ten."]
    advice = ADVICE[max(lost, key=lambda name: lost[name])]
    shares = ", ".join(f"{share:.1%} {name}" for name, share in lost.items())
    return [f"{total:.1%} of the captions do not find their photo among the first ten ({shares}): {advice}."]


def _baselines(named: Mapping[str, Result]) -> list[str]:
    # Baselines learn from the judged photos alone, so the fair comparison is with the ranker that does so too.
    protocol = next((name for name in ("course", "course_default") if f"{name}.recall@10" in named), None)
    beaten: list[str] = []
    level: list[str] = []
    above: list[str] = []
    for key, title in BASELINES.items():
        gain = None if protocol is None else _gain(named, f"{protocol}.recall@10", f"baseline.{key}.recall@10")
        if gain is not None:
            group = beaten if gain.low > 0 else above if gain.high < 0 else level
            group.append(f"{title} ({_points(gain)})")
    says = []
    if beaten:
        says.append(f"On the course's test, recall@10 of {protocol} beats {_listed(beaten)}.")
    if level:
        says.append(f"No clear difference from {_listed(level)}.")
    if above:
        says.append(f"Worse than {_listed(above)}.")
    return says


def _agreement(named: Mapping[str, Result]) -> list[str]:
    says = []
    for who, protocol, coefficient in (("experts", "expert", "tau_c"), ("the crowd", "crowd", "tau_b")):
        learned, meaning = f"{protocol}.{coefficient}", f"{protocol}_meaning.{coefficient}"
        if learned in named:
            text = f"Relevance agrees with {who} by {coefficient.replace('_', '-')} {_with_interval(named[learned])}"
            gain = _gain(named, learned, meaning)
            if gain is not None:
                alone = f"meaning alone, which learned from no judgments ({value_of(named[meaning]):.3f})"
                more = "more than" if gain.low > 0 else "less than" if gain.high < 0 else "not clearly other than"
                text += f", {more} {alone}"
            says.append(text + ".")
    return says


def _calibration(named: Mapping[str, Result]) -> list[str]:
    if "calibration.ece" not in named:
        return []
    error, skill = named["calibration.ece"], named.get("calibration.brier_skill")
    says = f"Shown relevance is off by {value_of(error):.3f} on average from the share of people who say yes"
    if skill is None:
        return [f"{says}; all pairs have the same share, so there is no Brier skill."]
    better = "better than" if isinstance(skill, Measured) and skill.low > 0 else "not clearly better than"
    return [
        f"{says}; its squared error is {better} that of always saying the base rate "
        f"(Brier skill {_with_interval(skill)})."
    ]


def _no_match(named: Mapping[str, Result]) -> list[str]:
    removed = named.get("no_match.auroc_removed")
    if removed is None:
        return []
    use = "too weak to rely on" if value_of(removed) < USEFUL_AUROC else "good enough to act on"
    text = (
        f"The no-match decision is {use}: for queries whose photo is there against queries whose photo was removed, "
        f"AUROC is {_with_interval(removed)}"
    )
    foreign = named.get("no_match.auroc_foreign")
    if foreign is not None:
        text += f"; against a gallery of other subjects it is {_with_interval(foreign)}"
    refused = named["no_match.refused_present"]
    return [f"{text}. It refuses {value_of(refused):.1%} of the queries whose photo is there."]


def _hubs(named: Mapping[str, Result], photos: int) -> list[str]:
    share = named.get("hubs.largest_share")
    if share is None or not photos:
        return []
    times = value_of(share) * photos / min(10, photos)
    return [
        f"The photo of the course's test that most queries show is among the first ten of {_percent(share)} of the "
        f"queries, {times:.1f} times an even share."
    ]


def _names(named: Mapping[str, Result]) -> list[str]:
    inside, outside = named.get("breadth.recall@10"), named.get("breadth_outside.recall@10")
    if inside is None:
        return []
    text = f"Names of things find {_percent(inside)} of their photos within ten hits"
    if outside is not None:
        text += f", names that the image encoder never learned {_percent(outside)}"
    return [f"{text}."]


def _other_photos(named: Mapping[str, Result]) -> list[str]:
    ten = named.get("elsewhere.mean.recall@10")
    if ten is None:
        return []
    before = value_of(named["elsewhere.mean.candidates.recall@10"])
    text = f"Captions of other photos find their photo among the first ten of their set in {_percent(ten)} of the cases"
    return [f"{text} (mean over sets; {before:.1%} before reranking)."]


def _everyday(named: Mapping[str, Result]) -> list[str]:
    precision = named.get("everyday.precision@5")
    if precision is None:
        return []
    first = named["everyday.first_right"]
    return [
        f"For short everyday queries {_percent(precision)} of the first five hits are right, and {_percent(first)} of "
        "the very first."
    ]


def _other_ranker(differences: Mapping[str, Result] | None) -> list[str]:
    if differences is None:
        return []
    said = {
        word: [name for name, difference in differences.items() if verdict(name, difference) == word]
        for word in ("better", "worse")
    }
    parts = [f"{word} in {_listed(names)}" for word, names in said.items() if names]
    if not parts:
        return ["No figure differs clearly from that of the other ranker."]
    return [f"Beside the other ranker, this one is {'; '.join(parts)}."]


def _gain(named: Mapping[str, Result], name: str, other: str) -> Measured | None:
    """Subtract `other` from the result `name`, with a paired interval; None where that cannot be computed."""
    one, two = named.get(name), named.get(other)
    return paired_difference(one, two) if isinstance(one, Measured) and isinstance(two, Measured) else None


def _points(gain: Measured) -> str:
    return f"{100 * gain.value:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"


def _percent(result: Result) -> str:
    interval = f" [{100 * result.low:.1f}, {100 * result.high:.1f}]" if isinstance(result, Measured) else ""
    return f"{100 * value_of(result):.1f}%{interval}"


def _with_interval(result: Result) -> str:
    interval = f" [{result.low:.3f}, {result.high:.3f}]" if isinstance(result, Measured) else ""
    return f"{value_of(result):.3f}{interval}"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"

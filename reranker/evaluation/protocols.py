"""Run the protocols: every result with its 95 % bootstrap interval. `docs/evaluation.md` explains each."""

from collections.abc import Callable, Sequence

from indexer.errors import PhotoseekError
from reranker.evaluation.data import JUDGED_SET
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.no_match_protocol import no_match
from reranker.evaluation.people_protocols import (
    calibration,
    crowd,
    crowd_meaning,
    expert,
    expert_meaning,
    expert_strict,
)
from reranker.evaluation.results import Results, drop_undefined
from reranker.evaluation.retrieval_protocols import (
    baseline,
    breadth,
    breadth_outside,
    course,
    course_default,
    elsewhere,
    everyday,
    hubs,
    official,
)

PROTOCOLS: dict[str, Callable[[Evaluation], Results | None]] = {
    protocol.__name__: protocol
    for protocol in (
        course,
        course_default,
        official,
        expert,
        expert_strict,
        crowd,
        expert_meaning,
        crowd_meaning,
        calibration,
        no_match,
        hubs,
        breadth,
        breadth_outside,
        elsewhere,
        everyday,
        baseline,
    )
}


def evaluate(evaluation: Evaluation, protocols: Sequence[str]) -> Results:
    """Run protocols.

    Args:
        evaluation: The ranker under evaluation.
        protocols: Names of `PROTOCOLS`.

    Returns:
        The results of the protocols that the data allows, by name.

    Raises:
        PhotoseekError: The data allows none of them.
    """
    results: Results = {}
    for number, name in enumerate(protocols):
        if evaluation.on_stage is not None:
            evaluation.on_stage("protocols", number, len(protocols))
        results |= PROTOCOLS[name](evaluation) or {}
    results = drop_undefined(results)
    if not results:
        raise PhotoseekError(
            f"judged data {evaluation.judgments.folder} allows none of: {', '.join(protocols)} (it needs {JUDGED_SET}/ "
            "with judgments, test_queries.csv, named photos for --breadth, or other photos for --elsewhere)"
        )
    return results

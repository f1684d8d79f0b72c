"""Fixtures of the tests of results: the sample, measured by a ranker that trains quickly."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from reranker.evaluation.evaluation import Evaluation
    from reranker.evaluation.results import Results

Measure = Callable[[Sequence[str]], "tuple[Evaluation, Results]"]


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measure]:
    """Measure the sample by protocols; what trains returns the ranker that there is."""
    # Most tests of this folder need none of these.
    from reranker.evaluation.evaluation import Evaluation
    from reranker.evaluation.protocols import evaluate
    from reranker.judgments.judged_folder import load_judgments
    from tiny_evaluation import SAMPLE, evaluation_of

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(Evaluation, "train", lambda self, features, judgments, seed: self.ranker)
        patch.setattr(Evaluation, "train_relevance", lambda self, features, judgments, seed: self.ranker)
        evaluation = evaluation_of(load_judgments(SAMPLE), tmp_path_factory.mktemp("none"))
        yield lambda protocols: (evaluation, evaluate(evaluation, protocols))

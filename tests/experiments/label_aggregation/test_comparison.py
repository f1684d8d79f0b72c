import numpy as np
import pytest
from click.testing import CliRunner

from command_line import SAMPLE
from experiments.label_aggregation import comparison
from indexer.errors import PhotoseekError
from reranker.metrics.bootstrap import Measured

# tau of each aggregation with what three draws of the bootstrap gave.
TAUS = {"majority": (0.5, [0.4, 0.5, 0.6]), "mean": (0.52, [0.43, 0.52, 0.61]), "latent": (0.5, [0.4, 0.5, 0.6])}
TAUS["combined"] = TAUS["latent"]


def evaluated(evaluation, protocols):
    """Results of an evaluation that has the tau of its aggregation."""
    assert protocols == ("expert", "expert_strict", "crowd", "calibration")
    assert evaluation.seeds == 2
    tau, draws = TAUS[evaluation.aggregate.__name__]
    measured = Measured(tau, min(draws), max(draws), np.array(draws))
    return {"expert": {"tau_c": measured}, "crowd": {"brier_skill": tau}}


def test_the_table_has_the_reference_and_paired_differences_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "evaluate", evaluated)
    result = CliRunner().invoke(comparison.main, [str(SAMPLE), "--seeds", "2"])
    assert (result.exit_code, result.stderr) == (0, "mean ...\nlatent ...\ncombined ...\n")
    # Draw by draw, "mean" is better by 0.03, 0.02 and 0.01; 2.5 % from the ends of those is 0.0105 and 0.0295.
    assert result.stdout.splitlines() == [
        "| score | expert.tau_c | crowd.brier_skill |",
        "|---|---|---|",
        "| majority | 0.5000 [0.4000, 0.6000] | 0.5000 |",
        "| mean | +0.0200 [+0.0105, +0.0295] | +0.0200 |",
        "| latent | +0.0000 [+0.0000, +0.0000] | +0.0000 |",
        "| combined | +0.0000 [+0.0000, +0.0000] | +0.0000 |",
    ]


def test_data_that_cannot_be_evaluated_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(evaluation, protocols):
        raise PhotoseekError("judged data allows none of: expert")

    monkeypatch.setattr(comparison, "evaluate", refuse)
    result = CliRunner().invoke(comparison.main, [str(SAMPLE)])
    assert (result.exit_code, result.stderr) == (1, "Error: judged data allows none of: expert\n")

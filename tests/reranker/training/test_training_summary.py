import json
from dataclasses import replace

from reranker.training.training_summary import TrainingSummary

NEW = TrainingSummary(
    photos=30,
    captions=96,
    expert_rows=76,
    crowd_rows=65,
    score="majority",
    seed=0,
    base=None,
    before=None,
    names=1000,
    names_without_example=(),
    shrinkage=(3.0, 1.0),
    sets=("one: 20 photos, weight 1", "two: 10 photos, weight 0.5, relevance only"),
    gate="learned",
    order_loss=(0.93941, 0.93936),
    order="learned",
    relevance="learned anew",
    relevance_loss=(0.56049, 0.5604),
    calibration="beta",
    calibration_pairs=112,
    calibration_log_loss={"temperature": 0.457909, "beta": 0.454166},
)


def test_the_summary_of_a_new_ranker_has_its_keys_in_order_and_rounded_losses():
    assert json.dumps(NEW.as_dict()) == (
        '{"photos": 30, "captions": 96, "expert_rows": 76, "crowd_rows": 65, "score": "majority", "seed": 0, '
        '"names": 1000, "names_without_example": [], "shrinkage": [3.0, 1.0], '
        '"sets": ["one: 20 photos, weight 1", "two: 10 photos, weight 0.5, relevance only"], "gate": "learned", '
        '"order_loss": [0.9394, 0.9394], '
        '"order": "learned", "relevance": "learned anew", "relevance_loss": [0.5605, 0.5604], "calibration": "beta", '
        '"calibration_pairs": 112, "calibration_log_loss": {"temperature": 0.45791, "beta": 0.45417}}'
    )


def test_the_summary_of_a_fine_tuned_ranker_names_its_base_and_leaves_out_what_was_not_fitted():
    tuned = replace(
        NEW,
        base="35ac0902244f",
        before={"photos": 8000},
        names=None,
        names_without_example=None,
        shrinkage=None,
        sets=None,
        gate="that of the base",
    )
    kept = replace(tuned, order_loss=None, order="that of the base").as_dict()
    assert list(kept)[5:10] == ["seed", "base", "before", "gate", "order"]
    assert (kept["base"], kept["before"], kept["order"]) == ("35ac0902244f", {"photos": 8000}, "that of the base")

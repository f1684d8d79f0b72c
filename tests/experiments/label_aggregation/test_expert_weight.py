import numpy as np
import pytest

from experiments.label_aggregation.crowd_prior import CrowdPrior
from experiments.label_aggregation.expert_weight import WEIGHTS, choose_expert_weight, leave_one_out, weight_criterion
from experiments.label_aggregation.graded_response import GradedResponse
from reranker.judgments.judgments import CrowdRow, ExpertRow


def people(
    pairs: int, expert_noise: float, crowd_noise: float, seed: int = 0
) -> tuple[list[ExpertRow], list[CrowdRow]]:
    """Pairs of 100 photos with a hidden quality that three experts and five voters see through noise of theirs."""
    generator = np.random.default_rng(seed)
    quality = generator.standard_normal(pairs)
    seen = quality[:, None] + expert_noise * generator.standard_normal((pairs, 3))
    grades = np.sort(1 + (seen[:, :, None] > [-0.5, 0.5, 1.5]).sum(axis=2), axis=1)
    yes = (quality[:, None] + crowd_noise * generator.standard_normal((pairs, 5)) > 0.5).sum(axis=1)
    names = [(f"{i % 100}.jpg", f"{i}.jpg#0") for i in range(pairs)]
    expert = [ExpertRow(*name, tuple(row)) for name, row in zip(names, grades.tolist(), strict=True)]
    crowd = [CrowdRow(*name, int(count), 5 - int(count)) for name, count in zip(names, yes, strict=True)]
    return expert, crowd


def test_whoever_sees_more_clearly_weighs_more():
    clear_experts = choose_expert_weight(*people(2000, 0.3, 3.0), resamples=0)
    clear_crowd = choose_expert_weight(*people(2000, 3.0, 0.3), resamples=0)
    assert clear_experts is not None
    assert clear_crowd is not None
    assert clear_experts.weight > 0.75 > 0.25 > clear_crowd.weight


def test_the_choice_is_the_best_of_its_criterion_with_an_interval_around_it():
    chosen = choose_expert_weight(*people(1500, 0.8, 0.8))
    assert chosen is not None
    assert chosen.criterion.shape == WEIGHTS.shape == (21,)
    assert chosen.criterion_at(chosen.weight) == chosen.criterion.max()
    assert chosen.low <= chosen.weight <= chosen.high
    assert chosen.high - chosen.low < 0.4
    # 30 of 100 photos with 15 pairs each.
    assert (chosen.pairs, chosen.photos) == (450, 30)


def test_the_criterion_is_the_mean_correlation_with_each_person_left_out():
    expert, crowd = people(12, 0.8, 0.8)
    grades, votes = np.array([row.grades for row in expert]), np.array([(row.yes, 5) for row in crowd])
    model, prior = GradedResponse.fit(grades), CrowdPrior.fit(*votes.T)
    found = weight_criterion(*leave_one_out(grades, votes, model, prior), np.arange(12))
    for place, weight in ((0, 0.0), (14, 0.7), (20, 1.0)):
        with_experts, with_votes = [], []
        for row, (yes, count) in zip(grades, votes, strict=True):
            share, score = prior.share([yes], [count])[0], model.score(row[None])[0]
            for i in range(3):
                others = model.score(np.delete(row, i)[None])[0]
                with_experts.append((weight * others + (1 - weight) * share, row[i]))
            for said in [1] * yes + [0] * (count - yes):
                others = prior.share([yes - said], [count - 1])[0]
                with_votes.append((weight * score + (1 - weight) * others, said))
        expected = np.mean([np.corrcoef(np.array(points).T)[0, 1] for points in (with_experts, with_votes)])
        assert found[place] == pytest.approx(expected, abs=1e-9)


def test_photos_on_the_side_of_the_choice_teach_the_models_nothing():
    expert, crowd = people(1500, 0.8, 0.8)
    chosen = choose_expert_weight(expert, crowd, resamples=0)
    # One more photo that only experts judged, whatever they say, is no photo to hold out.
    more = [ExpertRow("new.jpg", f"{i}.jpg#9", (1, 1, 1)) for i in range(5)]
    again = choose_expert_weight([*expert, *more], crowd, resamples=0)
    assert chosen is not None
    assert again is not None
    assert (again.pairs, again.photos) == (chosen.pairs, chosen.photos)
    # The models have seen the new rows, so the criterion moves, but hardly.
    assert again.criterion == pytest.approx(chosen.criterion, abs=1e-3)
    assert again.criterion.tolist() != chosen.criterion.tolist()


@pytest.mark.parametrize(("experts", "voters"), [(0, 500), (500, 0), (60, 60), (1, 1)])
def test_too_few_pairs_with_both_choose_nothing(experts, voters):
    expert, crowd = people(500, 0.8, 0.8)
    assert choose_expert_weight(expert[:experts], crowd[:voters], resamples=0) is None


def test_people_who_always_say_the_same_choose_nothing():
    expert, crowd = people(1000, 0.8, 0.8)
    same = [CrowdRow(row.photo, row.caption, 0, 3) for row in crowd]
    assert choose_expert_weight(expert, same, resamples=0) is None


def test_flickr8ks_weight_is_near_the_one_that_training_takes(flickr8k):
    from reranker.judgments.judged_folder import load_judgments

    judgments = load_judgments(flickr8k)
    chosen = choose_expert_weight(judgments.expert, judgments.crowd, resamples=0)
    assert chosen is not None
    assert (chosen.weight, chosen.pairs, chosen.photos) == (pytest.approx(0.6), 666, 268)
    assert chosen.criterion_at(0.6) == pytest.approx(0.781, abs=1e-3)
    # 0.7 loses a thousandth; either kind alone loses more.
    assert chosen.criterion_at(0.6) - chosen.criterion_at(0.7) < 0.002
    assert chosen.criterion_at(0.6) - max(chosen.criterion_at(0.0), chosen.criterion_at(1.0)) > 0.015

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, betabinom, binom

from experiments.label_aggregation.crowd_prior import CrowdPrior

VOTES = st.lists(st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=20)


def drawn(a: float, b: float, pairs: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    votes = generator.integers(2, 7, pairs)
    return generator.binomial(votes, generator.beta(a, b, pairs)), votes


@pytest.mark.parametrize(("a", "b"), [(0.1, 0.9), (0.5, 2.0), (3.0, 2.0)])
def test_votes_drawn_from_a_prior_give_it_back(a, b):
    yes, votes = drawn(a, b)
    for found in (CrowdPrior.fit(yes, votes), CrowdPrior.from_moments(yes, votes)):
        assert (found.a, found.b) == (pytest.approx(a, rel=0.06), pytest.approx(b, rel=0.06))


def test_no_other_prior_is_likelier():
    yes, votes = drawn(0.3, 1.5, 3000)
    best = CrowdPrior.fit(yes, votes)

    def likelihood(a: float, b: float) -> float:
        return float(betabinom(votes, a, b).logpmf(yes).sum())

    at_best = likelihood(best.a, best.b)
    for factor in (0.9, 1.1):
        assert likelihood(best.a * factor, best.b) < at_best > likelihood(best.a, best.b * factor)
    moments = CrowdPrior.from_moments(yes, votes)
    assert likelihood(moments.a, moments.b) <= at_best


@pytest.mark.parametrize(("yes", "votes"), [(0, 3), (1, 3), (2, 3), (5, 5), (2, 4)])
def test_the_share_is_the_posterior_mean_by_integration(yes, votes):
    prior = CrowdPrior(1.4, 2.3)

    def joint(share: float) -> float:
        return float(beta(prior.a, prior.b).pdf(share) * binom(votes, share).pmf(yes))

    mean = quad(lambda share: share * joint(share), 0, 1)[0] / quad(joint, 0, 1)[0]
    assert prior.share(np.array([yes]), np.array([votes]))[0] == pytest.approx(mean, abs=1e-8)


def test_the_share_is_yes_and_a_of_all_votes_and_a_and_b():
    # (1 + 0.5) / (3 + 0.5 + 1.5) = 0.3, (10 + 0.5) / (30 + 2) = 0.328: more votes, less prior.
    assert CrowdPrior(0.5, 1.5).share(np.array([1, 10]), np.array([3, 30])).tolist() == [0.3, 0.328125]


@given(VOTES)
def test_any_votes_give_a_finite_prior_and_shares_inside(rows):
    yes, votes = np.array(rows).T
    for prior in (CrowdPrior.fit(yes, votes), CrowdPrior.from_moments(yes, votes)):
        assert 0 < prior.a < np.inf
        assert 0 < prior.b < np.inf
        shares = prior.share(yes, votes)
        assert ((shares > 0) & (shares < 1)).all()


@pytest.mark.parametrize(
    ("yes", "votes", "problem"),
    [
        ([], [], "a crowd prior needs at least one pair with votes"),
        ([0], [0], "votes must be 1 or more, with 0 to all of them yes"),
        ([4], [3], "votes must be 1 or more, with 0 to all of them yes"),
        ([-1], [3], "votes must be 1 or more, with 0 to all of them yes"),
    ],
)
@pytest.mark.parametrize("how", [CrowdPrior.fit, CrowdPrior.from_moments])
def test_votes_that_cannot_be_are_refused(how, yes, votes, problem):
    with pytest.raises(ValueError) as caught:
        how(np.array(yes), np.array(votes))
    assert str(caught.value) == problem


def test_flickr8ks_crowd_mostly_says_no_and_seldom_wavers(flickr8k):
    from reranker.judgments.judged_folder import load_judgments

    crowd = load_judgments(flickr8k).crowd
    yes, votes = np.array([(row.yes, row.yes + row.no) for row in crowd]).T
    prior = CrowdPrior.fit(yes, votes)
    assert (prior.a, prior.b) == pytest.approx((0.0681, 0.9124), abs=5e-4)
    assert prior.share(np.arange(4), np.full(4, 3)) == pytest.approx([0.017, 0.268, 0.520, 0.771], abs=1e-3)

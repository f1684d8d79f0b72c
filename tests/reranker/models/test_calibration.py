import json

import numpy as np
import pytest

from reranker.models.calibration import Calibration

TEMPERATURE = Calibration(2.5, -1.0)
BETA = Calibration(method="beta", a=0.5, b=2.0, c=-1.0)
ISOTONIC = Calibration(method="isotonic", knots=((-1.0, 0.25), (1.0, 0.75), (2.0, 0.75)))


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_relevance_is_the_logistic_function_of_the_scaled_score():
    plain = Calibration()
    # 1 / (1 + exp(-ln 3)) = 3/4
    np.testing.assert_allclose(plain.apply(np.array([0, np.log(3), -np.log(3)])), [0.5, 0.75, 0.25], rtol=1e-6)
    # ln(9) / 2 + ln(3) = ln 9: 9/10
    assert Calibration(2.0, float(np.log(3))).apply(np.array([np.log(9)])) == pytest.approx([0.9])


def test_beta_bends_the_logarithms_of_s_and_of_what_s_lacks_to_one():
    calibration = Calibration(method="beta", a=2.0, b=1.0, c=float(np.log(4)))
    # At s = 1/2: 2 ln(1/2) - ln(1/2) + ln 4 = ln 2, 2/3. At s = 3/4: 2 ln(3/4) - ln(1/4) + ln 4 = ln 9, 9/10.
    np.testing.assert_allclose(calibration.apply(np.array([0, np.log(3)])), [2 / 3, 9 / 10], rtol=1e-6)
    scores = np.linspace(-5, 5, 11)
    same = Calibration(method="beta", a=1 / 2.5, b=1 / 2.5, c=-1.0)
    np.testing.assert_allclose(same.apply(scores), TEMPERATURE.apply(scores), rtol=1e-6)


def test_isotonic_leads_straight_from_knot_to_knot_and_leans_a_little_on_the_temperature():
    # A quarter of the way from (-1, 1/4) to (1, 3/4) is 3/8; beyond the ends it stays.
    scores = np.array([-9, -1, -0.5, 0, 1.5, 9])
    lines = np.array([1 / 4, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 3 / 4])
    np.testing.assert_allclose(ISOTONIC.apply(scores), 0.98 * lines + 0.02 * sigmoid(scores), rtol=1e-6)


@pytest.mark.parametrize("calibration", [TEMPERATURE, BETA, ISOTONIC])
def test_relevance_is_float32_whatever_the_scores_are(calibration):
    for kind in (np.float32, np.float64):
        assert calibration.apply(np.zeros(1, kind)).dtype == np.float32


def test_far_scores_neither_overflow_nor_lose_their_order():
    with np.errstate(all="raise", under="ignore"):
        shown = Calibration().apply(np.array([-1000, -40, -30, -20, 0, 1000], np.float64))
        bent = BETA.apply(np.array([-1000, 1000], np.float64))
    assert (shown[0], shown[-1]) == (bent[0], bent[-1]) == (0.0, 1.0)
    np.testing.assert_allclose(shown[1:4], np.exp([-40, -30, -20]), rtol=1e-6)


@pytest.mark.parametrize("calibration", [TEMPERATURE, BETA, ISOTONIC])
def test_its_dictionary_makes_the_same_calibration_through_json(calibration):
    assert Calibration.from_dict(json.loads(json.dumps(calibration.as_dict()))) == calibration


def test_the_dictionary_of_each_method_holds_its_own_numbers():
    assert TEMPERATURE.as_dict() == {"temperature": 2.5, "bias": -1.0}
    assert BETA.as_dict() == {"method": "beta", "a": 0.5, "b": 2.0, "c": -1.0}
    knots = [[-1.0, 0.25], [1.0, 0.75], [2.0, 0.75]]
    assert ISOTONIC.as_dict() == {"method": "isotonic", "temperature": 1.0, "bias": 0.0, "knots": knots, "lean": 0.02}
    named = {"method": "temperature", "temperature": 2.5, "bias": -1.0}
    assert Calibration.from_dict(named) == TEMPERATURE


@pytest.mark.parametrize(
    ("values", "error", "line"),
    [
        ({"method": "platt", "a": 1.0}, ValueError, "no calibration method 'platt'"),
        ({"method": "beta", "a": 1.0, "b": 1.0}, KeyError, "'c'"),
        ({"temperature": 1.0}, KeyError, "'bias'"),
        ([1.0, 0.0], TypeError, "'list' object is not a mapping"),
        (
            {"method": "isotonic", "temperature": 1.0, "bias": 0.0, "knots": [1.0], "lean": 0.02},
            TypeError,
            "cannot unpack non-iterable float object",
        ),
    ],
)
def test_another_dictionary_is_refused(values, error, line):
    with pytest.raises(error) as caught:
        Calibration.from_dict(values)
    assert str(caught.value) == line

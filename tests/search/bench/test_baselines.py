"""search.bench.baselines: their names, and the rule that is repeated here."""

from answers import refusal
from photoseek.commands.bench import BASELINES as NAMES_IN_HELP
from search.bench.baselines import BASELINES, autofaiss_key, check_names


def test_autofaiss_chooses_by_count() -> None:
    assert [autofaiss_key(n) for n in (999, 1_000, 9_999, 10_000)] == ["Flat", "HNSW15", "HNSW15", "HNSW32"]


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    assert check_names(["flat", "hnswlib"]) == ["flat", "hnswlib"]
    assert refusal(lambda: check_names(["flat", "annoy"])) == f"no peer 'annoy'; there are: {', '.join(BASELINES)}"


def test_the_help_names_all_of_them() -> None:
    assert NAMES_IN_HELP.split(",") == list(BASELINES)

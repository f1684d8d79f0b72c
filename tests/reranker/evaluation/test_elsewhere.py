"""Other photos and everyday queries: their data, and their results against a plain computation."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from indexer.errors import PhotoseekError
from page_reader import parsed, texts
from reranker.evaluation import data as evaluation_data
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import evaluate
from reranker.evaluation.results import flatten
from reranker.judgments.judged_folder import load_judgments
from reranker.metrics.recall import ranks_of_own
from reranker.reports.ranker_report import write_ranker_report
from tiny_evaluation import SAMPLE, evaluation_of

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[3]
COLOURS = {"dog": (250, 10, 10), "cat": (10, 250, 10), "sea": (10, 10, 250), "snow": (250, 250, 250), "car": (9, 9, 9)}


def write_set(folder: Path, photos: int, shade: int) -> None:
    """Write a set of test photos, each with a caption of its own and one that others share, and one train photo."""
    (folder / "photos").mkdir(parents=True)
    lines = ["image\tsplit\tcaption"]
    for number in range(photos):
        word, colour = list(COLOURS.items())[number % 5]
        red, green, blue = (min(255, part + shade + number) for part in colour)
        Image.new("RGB", (8, 8), (red, green, blue)).save(folder / "photos" / f"{number}.png")
        lines += [f"{number}.png\ttest\t{word} and ball {number}", f"{number}.png\ttest\tA {word}."]
    Image.new("RGB", (8, 8)).save(folder / "photos" / "learned.png")
    (folder / "captions.tsv").write_text("\n".join([*lines, "learned.png\ttrain\tA man."]) + "\n")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluation]:
    folder = tmp_path_factory.mktemp("elsewhere")
    write_set(folder / "ones", 12, 0)
    write_set(folder / "others", 7, 3)
    (folder / "texts").mkdir()
    (folder / "texts" / "captions.tsv").write_text("image\tcaption\nx.jpg\tNo photos here.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(evaluation_data, "EVERYDAY", folder / "everyday.tsv")
        marked = {"dog": ("ones/0.png", "ones/5.png", "ones/10.png", "others/0.png", "others/5.png", "gone/1.png")}
        marked |= {"cat": ("ones/1.png", "others/1.png"), "zebra": ("gone/2.png", "gone/3.png")}
        rows = [f"{query}\t{image}\n" for query, images in marked.items() for image in images]
        (folder / "everyday.tsv").write_text("query\timage\n" + "".join(rows))
        made = evaluation_of(load_judgments(SAMPLE), folder)
        yield replace(made, data=replace(made.data, elsewhere=folder))


def test_test_photos_of_each_set_are_read_with_their_own_captions(evaluation: Evaluation) -> None:
    tests = evaluation.data.elsewhere_sets
    assert list(tests) == ["ones", "others"]
    assert tests["others"].names == tuple(f"{n}.png" for n in range(7))
    assert tests["others"].queries.texts[:3] == ["dog and ball 0", "A dog.", "cat and ball 1"]
    assert tests["others"].own.tolist() == [photo for photo in range(7) for _ in range(2)]
    assert tests["ones"].photos.x.shape == (12, 4)
    # The first photo of `others`: (253, 13, 13) / 255 and 0.5, of norm 1; stored as float16.
    row = np.array([253 / 255, 13 / 255, 13 / 255, 0.5])
    np.testing.assert_allclose(tests["others"].photos.x[0], row / np.linalg.norm(row), atol=1e-3)


def test_recall_elsewhere_is_that_of_each_set_and_their_mean(evaluation: Evaluation) -> None:
    figures = evaluate(evaluation, ["elsewhere"])["elsewhere"]
    assert list(figures) == ["ones", "others", "mean"]
    found = {}
    for name, test in evaluation.data.elsewhere_sets.items():
        ranking = evaluation.elsewhere(name)
        after, before = (
            ranks_of_own(scores, test.own) for scores in (ranking.ranking_scores, ranking.candidate_scores)
        )
        for k in (1, 5, 10):
            found[name, k] = (after < k).mean(), (before < k).mean()
            assert figures[name][f"recall@{k}"].value == pytest.approx(found[name, k][0])
            assert figures[name]["candidates"][f"recall@{k}"].value == pytest.approx(found[name, k][1])
        gain = sum(found[name, k][0] - found[name, k][1] for k in (1, 5, 10))
        assert figures[name]["reranked_minus_candidates"].value == pytest.approx(gain)
        top = np.argsort(-ranking.ranking_scores, axis=1)[:, :10]
        assert figures[name]["largest_share"].value == pytest.approx(np.bincount(top.ravel()).max() / len(top))
        chances = ranking.match_probability(np.ones(ranking.ranking_scores.shape, bool))[after == 0]
        assert figures[name]["right_refused"].value == (chances < evaluation.ranker.no_match.threshold).mean()
    for k in (1, 5, 10):
        # Both sets count alike, though one has more queries.
        mean = figures["mean"][f"recall@{k}"]
        assert mean.value == pytest.approx((found["ones", k][0] + found["others", k][0]) / 2)
        parts = [figures[name][f"recall@{k}"] for name in ("ones", "others")]
        np.testing.assert_allclose(mean.draws, (parts[0].draws + parts[1].draws) / 2)
        before = figures["mean"]["candidates"][f"recall@{k}"].value
        assert before == pytest.approx((found["ones", k][1] + found["others", k][1]) / 2)


def test_everyday_queries_ask_the_photos_of_all_sets(evaluation: Evaluation) -> None:
    test = evaluation.data.everyday
    # No right photo of "zebra" is there, and one of "dog" is not.
    assert test.queries.texts == ["dog", "cat"]
    assert [np.flatnonzero(row).tolist() for row in test.right] == [[0, 5, 10, 12, 17], [1, 13]]
    sets = evaluation.data.elsewhere_sets
    np.testing.assert_array_equal(test.photos.x, np.concatenate([sets["ones"].photos.x, sets["others"].photos.x]))
    assert test.photos.regions.shape == (19, 2, 4)


def test_everyday_results_are_of_the_first_five_hits_as_they_are_shown(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three queries and six photos: which are right, in which order they come, with what relevance and chance.
    right = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]], bool)
    order = np.array([[0, 2, 1, 3, 4, 5], [5, 4, 3, 2, 1, 0], [0, 4, 1, 2, 3, 5]])
    relevance = np.array([[0.5, 0.4, 0.14, 0.1, 0.1, 0.1], [0.3] * 6, [0.06, 0.2, 0.1, 0.1, 0.1, 0.1]], np.float32)
    chances, no_match = np.array([0.9, 0.4, 0.1]), SimpleNamespace(threshold=0.5)
    test = replace(evaluation.data.everyday, right=right)
    ranking = replace(
        evaluation.everyday(test),
        ranker=SimpleNamespace(match_probability=lambda *_: chances, no_match=no_match),
        ranking_scores=-np.argsort(order, axis=1).astype(np.float32),
        rows=order,
        uncorrected=np.zeros((3, 6), np.float32),
        uncorrected_relevance=relevance,
        pair_features=np.zeros((3, 6, 7), np.float32),
        relevance=relevance,
    )
    monkeypatch.setitem(evaluation.data.__dict__, "everyday", test)
    monkeypatch.setattr(evaluation, "_kept", {"everyday": ranking})
    figures = {name: result.value for name, result in flatten(evaluate(evaluation, ["everyday"])).items()}
    assert figures == {
        # Both right photos of the first query, five of five of the second, one of two of the third.
        "everyday.precision@5": pytest.approx((1 + 1 + 1 / 2) / 3),
        "everyday.first_right": pytest.approx(2 / 3),
        # Of 2 + 5 + 1 right hits, 0.14 of the first query; and 0.12 of the third, of 0.06 and 0.2 in a pool before 0.1.
        "everyday.right_under_0.15": pytest.approx(2 / 8),
        "everyday.first_five_tie": pytest.approx(1 / 3),
        "everyday.right_refused": pytest.approx(1 / 2),
    }


def test_what_is_of_right_hits_is_left_out_where_no_hit_is_right(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = evaluation.data.everyday
    worst = np.argsort(-evaluation.everyday(test).ranking_scores, axis=1)[:, -2:]
    wrong = np.zeros_like(test.right)
    np.put_along_axis(wrong, worst, True, axis=1)
    monkeypatch.setitem(evaluation.data.__dict__, "everyday", replace(test, right=wrong))
    figures = evaluate(evaluation, ["everyday"])["everyday"]
    assert list(figures) == ["precision@5", "first_right", "first_five_tie"]
    assert figures["precision@5"].value == figures["first_right"].value == 0


def test_without_other_photos_both_protocols_are_left_out(evaluation: Evaluation, tmp_path: Path) -> None:
    alone = replace(evaluation, data=replace(evaluation.data, elsewhere=tmp_path))
    assert list(evaluate(alone, ["elsewhere", "everyday", "hubs"])) == ["hubs"]
    # The default is beside the judged folder, where the sample has none.
    beside = replace(evaluation, data=replace(evaluation.data, elsewhere=None))
    assert beside.data.elsewhere_sets == {}
    write_set(tmp_path / "unmarked", 3, 0)
    unmarked = replace(evaluation, data=replace(evaluation.data, elsewhere=tmp_path))
    assert list(evaluate(unmarked, ["elsewhere", "everyday"])) == ["elsewhere"]


def test_a_bad_row_of_other_photos_is_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    write_set(tmp_path / "set", 3, 0)
    table = tmp_path / "set" / "captions.tsv"
    table.write_text(table.read_text() + "9.png\ttest\tA dog.\n")
    there = replace(evaluation, data=replace(evaluation.data, elsewhere=tmp_path))
    with pytest.raises(PhotoseekError) as refusal:
        evaluate(there, ["elsewhere"])
    assert str(refusal.value) == f"{table} line 9: photo 9.png is not in photos or beside the table"


def test_a_report_has_a_chapter_on_other_photos(evaluation: Evaluation, tmp_path: Path) -> None:
    results = evaluate(evaluation, ["elsewhere", "everyday"])
    write_ranker_report(tmp_path / "r.html", evaluation, results, None)
    page = parsed(tmp_path / "r.html")
    rows = [texts(row, "td") for row in page.findall(".//section[@id='other-photos']//tbody/tr")]
    assert [row[0] for row in rows] == ["ones", "others", "mean"]
    ten = results["elsewhere"]["mean"]["recall@10"]
    assert rows[2][3].startswith(f"{ten.value:.3f}")
    says = texts(page, "section[@id='conclusions']//li")
    assert says[0].startswith(
        f"Captions of other photos find their photo among the first ten of their set in {100 * ten.value:.1f}% ["
    )
    precision = results["everyday"]["precision@5"].value
    assert says[1].startswith(f"For short everyday queries {100 * precision:.1f}% [")


def test_the_everyday_queries_are_sixty_short_ones_with_two_right_photos_or_more() -> None:
    header, *rows = (ROOT / "reranker/evaluation/everyday.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "query\timage"
    pairs = [tuple(row.split("\t")) for row in rows]
    assert pairs == sorted(set(pairs))
    right: dict[str, int] = {}
    for query, image in pairs:
        right[query] = right.get(query, 0) + 1
        assert image.split("/")[0] in ("coco", "home", "scenes", "web")
    assert len(right) == 60
    assert min(right.values()) == 2
    assert all(1 <= len(query.split()) <= 4 and query == query.lower() for query in right)

"""photoseek evaluate: thresholds, a second ranker, a report and TREC files from the command line."""

import json
from pathlib import Path

import pytest

from command_line import SAMPLE, misused, photoseek, refused
from reranker.ranker import DEFAULT_FOLDER, FAST_FOLDER, Ranker

COURSE = ("evaluate", SAMPLE, "--protocol", "course_default")


@pytest.fixture(scope="module")
def figures() -> dict:
    result = photoseek(*COURSE, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_a_figure_below_its_threshold_exits_with_1_and_one_line(figures: dict) -> None:
    value = figures["course_default"]["recall@1"]["value"]
    result = photoseek(*COURSE, "--fail-under", "recall@1=1.5", "--fail-under", "course_default.recall@10=0")
    assert result.exit_code == 1
    assert result.stderr == f"photoseek: figures fall short: course_default.recall@1 is {value:.4f}, below 1.5\n"
    # What was measured is printed all the same.
    assert result.stdout.startswith(f"{'course_default.recall@1':<44}{value:.4f}  [")
    result = photoseek(*COURSE, "--fail-under", f"recall@1={value}")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_figure_above_its_threshold_exits_with_1_and_one_line(figures: dict) -> None:
    value = figures["course_default"]["recall@1"]["value"]
    result = photoseek(*COURSE, "--fail-over", "recall@1=0.1", "--fail-over", f"recall@1={value}")
    assert result.exit_code == 1
    assert result.stderr == f"photoseek: figures fall short: course_default.recall@1 is {value:.4f}, above 0.1\n"
    problem = "Invalid value for '--fail-over': 'ece=nan' is not NAME=VALUE, e.g. calibration.ece=0.02."
    misused(photoseek(*COURSE, "--fail-over", "ece=nan"), "evaluate", problem)


def test_a_threshold_of_no_figure_is_misuse(figures: dict) -> None:
    names = ", ".join(f"course_default.{name}" for name in figures["course_default"])
    result = photoseek(*COURSE, "--fail-under", "recall@7=0.5")
    assert result.exit_code == 2
    assert result.stderr.endswith(f"Error: --fail-under, --fail-over: no figure 'recall@7'; there are: {names}\n")
    problem = "Invalid value for '--fail-under': 'recall' is not NAME=VALUE, e.g. official.recall@10=0.8."
    misused(photoseek(*COURSE, "--fail-under", "recall"), "evaluate", problem)


def test_the_encoders_precision_can_be_chosen_and_every_one_is_computed_anew(
    figures: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for precision in ("f32", "auto"):
        result = photoseek(*COURSE, "--precision", precision, "--json", "--html", tmp_path / f"{precision}.html")
        assert result.exit_code == 0
        found[precision] = json.loads(result.stdout)["course_default"]
        said = "its precision" in (tmp_path / f"{precision}.html").read_text()
        assert said is (precision != "auto")
    assert found["auto"] == figures["course_default"]
    assert found["f32"]["recall@10"]["value"] == pytest.approx(found["auto"]["recall@10"]["value"], abs=0.1)
    problem = "Invalid value for '--precision': 'f16' is not one of 'auto', 'f32', 'bf16', 'int8'."
    misused(photoseek(*COURSE, "--precision", "f16"), "evaluate", problem)


def test_other_photos_are_measured_where_they_are_named(tmp_path: Path) -> None:
    photos = tmp_path / "set" / "photos"
    photos.mkdir(parents=True)
    names = sorted(path.name for path in (Path(SAMPLE) / "test_images").iterdir())
    for name in names:
        (photos / name).write_bytes((Path(SAMPLE) / "test_images" / name).read_bytes())
    rows = [f"{name}\ttest\tA photo of number {number}." for number, name in enumerate(names)]
    (tmp_path / "set" / "captions.tsv").write_text("\n".join(["image\tsplit\tcaption", *rows]) + "\n")
    asked = ("evaluate", SAMPLE, "--protocol", "elsewhere", "--json")
    result = photoseek(*asked, "--elsewhere", tmp_path, "--compare", FAST_FOLDER)
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    # Six photos: all are among the first ten.
    assert found["elsewhere"]["mean"]["recall@10"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["elsewhere"]["set"]["largest_share"]["value"] == 1.0
    gain = found["compare"]["difference"]["elsewhere.set.candidates.recall@1"]["value"]
    both = [
        figures["elsewhere"]["set"]["candidates"]["recall@1"]["value"]
        for figures in (found, found["compare"]["figures"])
    ]
    assert gain == pytest.approx(both[0] - both[1])
    result = photoseek(*asked)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"photoseek: judged data {SAMPLE} allows none of: elsewhere (it needs train_images/ with judgments, "
        "test_queries.csv, named photos for --breadth, or other photos for --elsewhere)\n"
    )


def test_named_folders_with_nothing_to_measure_are_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "captions.tsv").write_text("image\tsplit\tcaption\nx.jpg\ttest\tNo photos here.\n")
    refused(
        photoseek("evaluate", SAMPLE, "--elsewhere", tmp_path),
        f"no folder in {tmp_path} is a set of other photos; a set has captions.tsv and photos/, with photos of the "
        "split 'test'",
    )
    line = f"no photo in {tmp_path} is named as SYNSET_NUMBER_NAME.jpg"
    refused(photoseek("evaluate", SAMPLE, "--breadth", tmp_path), line)


def test_two_rankers_are_measured_side_by_side(figures: dict) -> None:
    result = photoseek(*COURSE, "--json", "--compare", FAST_FOLDER)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["course_default"] == figures["course_default"]
    other = photoseek(*COURSE, "--json", "--ranker", FAST_FOLDER)
    expected = json.loads(other.stdout)["course_default"]
    assert found["compare"]["ranker"] == Ranker.load(FAST_FOLDER).id
    assert found["compare"]["figures"] == {"course_default": expected}
    for name, leaf in found["compare"]["difference"].items():
        key = name.removeprefix("course_default.")
        assert leaf["value"] == pytest.approx(figures["course_default"][key]["value"] - expected[key]["value"])
    text = photoseek(*COURSE, "--compare", FAST_FOLDER).stdout
    assert f"beside ranker {Ranker.load(FAST_FOLDER).id}" in text


def test_a_report_and_trec_files_are_written_and_named(tmp_path: Path) -> None:
    html, trec = tmp_path / "r.html", tmp_path / "trec"
    result = photoseek(*COURSE, "--html", html, "--trec", trec)
    assert result.exit_code == 0
    size = html.stat().st_size / 2**20
    assert result.stderr == f"{html}: {size:.1f} MB\n{trec}/course.qrels\n{trec}/course_default.run\n"
    assert len((trec / "course.qrels").read_text().splitlines()) == 18
    assert len((trec / "course_default.run").read_text().splitlines()) == 18 * 6


def test_what_cannot_be_written_or_compared_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = photoseek(*COURSE, "--trec", tmp_path / "file")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"photoseek: --trec {tmp_path / 'file'} is a file; give a folder for the run files\n"
    result = photoseek("evaluate", SAMPLE, "--protocol", "hubs", "--trec", tmp_path / "runs")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "photoseek: --trec: only official, course_default, course have rankings to write\n"
    assert not (tmp_path / "runs").exists()
    result = photoseek("evaluate", SAMPLE, "--protocol", "baseline", "--compare", DEFAULT_FOLDER)
    assert (result.exit_code, result.stdout) == (1, "")
    identity = Ranker.default().id
    line = f"photoseek: --compare: baseline cannot tell rankers {identity} and {identity} apart\n"
    assert result.stderr == line


def test_a_place_for_the_report_is_looked_at_before_anything_is_measured(tmp_path: Path) -> None:
    result = photoseek(*COURSE, "--html", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"photoseek: {tmp_path} is a folder; give a file for the report\n"
    result = photoseek(*COURSE, "--compare", tmp_path / "none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"photoseek: no ranker at {tmp_path / 'none'}; train one: ")

import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from command_line import ODD, ODD_SHOWN, photoseek
from indexer.index import Index
from indexer.stacks.stacking import mark_stale
from indexer.storage.catalogue import Catalogue
from reranker.ranker import Ranker
from unusual_photos.made_stacks import build, sample_photo, write_burst, write_single


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cat in two sizes, the smaller one under an odd name, and two photos alone."""
    folder = tmp_path_factory.mktemp("duplicates") / "photos"
    write_single(folder, "cat", "coins", "rocket")
    photo = sample_photo("cat")
    photo.resize((photo.width // 2, photo.height // 2)).save(folder / "half.jpg", quality=60)
    (folder / "half.jpg").rename(folder / ODD)
    return folder


@pytest.fixture(scope="module")
def index(root: Path) -> Path:
    return build(root, root.parent / "index").folder


def test_groups_are_listed_with_sizes_the_best_copy_first(index: Path, root: Path) -> None:
    result = photoseek("duplicates", "-i", index)
    width, height = sample_photo("cat").size
    large, small = (root / "cat.jpg").stat().st_size, (root / ODD).stat().st_size
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "2 photos\n"
        f"{width:>8} x {height:<6}{large:>14,} bytes  {root}/cat.jpg\n"
        f"{width // 2:>8} x {height // 2:<6}{small:>14,} bytes  {root}/{ODD_SHOWN}\n"
        "groups: 1, photos: 2\n"
    )


def test_json_has_the_groups(index: Path, root: Path) -> None:
    width, height = sample_photo("cat").size
    large, small = (root / "cat.jpg").stat().st_size, (root / ODD).stat().st_size
    values = json.loads(photoseek("duplicates", "-i", index, "--json").stdout)
    assert values == {
        "format": 1,
        "groups": [
            {
                "photos": [
                    {"path": f"{root}/cat.jpg", "width": width, "height": height, "bytes": large},
                    {"path": f"{root}/{ODD}", "width": width // 2, "height": height // 2, "bytes": small},
                ]
            }
        ],
    }
    assert os.path.exists(values["groups"][0]["photos"][1]["path"])


def test_an_index_that_is_not_grouped_yet_says_so(index: Path, tmp_path: Path) -> None:
    shutil.copytree(index, tmp_path / "index")
    with closing(Catalogue(tmp_path / "index" / "catalogue.sqlite", writable=True)) as catalogue:
        mark_stale(catalogue)
    result = photoseek("duplicates", "-i", tmp_path / "index")
    assert result.stdout.startswith("2 photos\n")
    assert result.stderr == (
        "note: photos were not grouped since the index was changed; "
        f"photoseek build PHOTOS -i {tmp_path / 'index'} does it\n"
    )


def test_an_index_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = photoseek("duplicates", "-i", tmp_path / "none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(tmp_path / "none") in result.stderr


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder with a burst of ten and two other photos, and its index with the shipped ranker."""
    root = tmp_path_factory.mktemp("searched") / "photos"
    write_burst(root, "cat")
    write_single(root, "coins", "rocket")
    Index.build(root, root.parent / "index").attach(Ranker.default())
    return root, root.parent / "index"


def test_search_prints_one_line_per_stack_and_all_with_the_option(searched: tuple[Path, Path]) -> None:
    root, index = searched
    lines = photoseek("search", "a cat", "-i", index, "--misses").stdout.splitlines()
    assert len([line for line in lines if ".jpg" in line]) == 3
    best = next(line for line in lines if "cat-" in line)
    assert "(+9: cat-" in best
    assert best.endswith(", ...)")
    paths = photoseek("search", "a cat", "-i", index, "--misses", "--all", "--paths", "-k", 20).stdout.splitlines()
    assert sorted(paths) == sorted(str(path) for path in root.iterdir())


def test_json_names_the_stack(searched: tuple[Path, Path]) -> None:
    root, index = searched
    hits = json.loads(photoseek("search", "a cat", "-i", index, "--json").stdout)["hits"]
    cat = next(hit for hit in hits if "cat-" in hit["path"])
    assert cat["stack_size"] == 10
    assert sorted([cat["path"], *cat["stack"]]) == sorted(map(str, root.glob("cat-*")))
    assert [hit["stack"] for hit in hits if hit is not cat] == [[], []]


@pytest.mark.parametrize(("options", "ending", "lines"), [((), "csv", 3), (("--all",), "csv", 12), ((), "trec", 12)])
def test_batch_writes_stacks_but_a_run_lists_every_photo(
    searched: tuple[Path, Path], tmp_path: Path, options: tuple[str, ...], ending: str, lines: int
) -> None:
    (tmp_path / "q.txt").write_text("a cat\n")
    output = tmp_path / f"r.{ending}"
    result = photoseek("batch", tmp_path / "q.txt", "-o", output, "-i", searched[1], "-k", 20, *options)
    assert result.exit_code == 0
    assert len(output.read_text().splitlines()) == lines + (ending == "csv")

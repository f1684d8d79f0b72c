"""One searcher in several threads, in a forked child, after `chdir`, and when it is closed or pickled."""

import asyncio
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from answers import names, refusal
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.inference.network import LEFT_THREADS
from photoseek import attach_ranker
from search.searcher import Searcher

QUERIES = ("a motorcycle", "a cat", "a cup of coffee", "the moon")


CHECKOUT = Path(__file__).parents[2]
FRESH = """
import gc, os, sys
from photoseek import Index, Searcher

searcher = Searcher(Index.open(sys.argv[1]))

def child(work):
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            found = work()
        except BaseException as error:
            found = error
        os.write(writer, repr(found).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        return file.read()
"""


def answers(searcher: Searcher) -> list[list[str]]:
    return [names(searcher.answer(text, 3)) for text in QUERIES]


def of_child(work: Callable[[], object]) -> str:
    """Return the repr of what a function returns, or of what it raises, in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, repr(work()).encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        found = file.read().decode()
    os.waitpid(child, 0)
    return found


def test_threads_that_begin_together_get_the_answers_of_one(plain: Path) -> None:
    expected = answers(Searcher(Index.open(plain)))
    searcher, begin = Searcher(Index.open(plain)), threading.Barrier(6)
    found: list[list[list[str]]] = []
    failed: list[BaseException] = []

    def work() -> None:
        begin.wait()
        try:
            found.append(answers(searcher))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert found == [expected] * 6


def test_asyncio_asks_in_threads(plain: Path, photos: Path) -> None:
    searcher = Searcher(Index.open(plain))

    async def ask() -> list[list[str]]:
        texts = [asyncio.to_thread(searcher.answer, text, 2) for text in QUERIES]
        alike = asyncio.to_thread(searcher.like, photos / "nature" / "flower.jpg", 1)
        return [names(result) for result in await asyncio.gather(*texts, alike)]

    found = asyncio.run(ask())
    assert found[:-1] == [names(searcher.answer(text, 2)) for text in QUERIES]
    assert found[-1] == ["flower.jpg"]


def in_fresh_process(*steps: str, index: Path) -> list[str]:
    """Run steps in a process that has not computed anything; each may ask `searcher`, or `child(work)` for a child."""
    code = "\n".join([FRESH, *steps])
    command = [sys.executable, "-c", code, str(index)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def test_a_child_that_is_forked_before_the_first_query_answers(plain: Path) -> None:
    ask = "[hit.path for hit in searcher.search('a cat', 3)]"
    of_child, of_parent = in_fresh_process(f"print(child(lambda: {ask}))", f"print({ask})", index=plain)
    assert of_child == of_parent
    assert "chelsea.png" in of_child


def test_a_child_that_is_forked_later_is_told_that_threads_stayed_behind(plain: Path, photos: Path) -> None:
    flower = str(photos / "nature" / "flower.jpg")
    for first in ("searcher.search('a cat', 1)", f"searcher.like({flower!r}, 1)"):
        for second in ("searcher.search('a dog', 1)", f"searcher.like({flower!r}, 1)"):
            told, of_parent = in_fresh_process(
                first,
                f"print(child(lambda: {second}))",
                "print(searcher.search('a cat', 1)[0].path)",
                index=plain,
            )
            assert told == repr(PhotoseekError(LEFT_THREADS))
            assert of_parent.endswith("chelsea.png")


def test_a_child_lets_the_networks_of_its_parent_be(plain: Path) -> None:
    steps = "searcher.search('a cat', 1)", "print(child(lambda: [searcher.close(), gc.collect()][0]))"
    assert in_fresh_process(*steps, index=plain) == ["None"]


def test_a_child_answers_while_a_thread_of_its_parent_holds_the_catalogue(plain: Path) -> None:
    searcher = Searcher(Index.open(plain))
    with searcher.index.catalogue._database._lock:
        assert of_child(lambda: searcher.index.catalogue.photo_count()) == "18"


def test_paths_are_resolved_when_the_index_is_opened(
    plain: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(plain, tmp_path / "idx")
    monkeypatch.chdir(tmp_path)
    index = Index.open("idx")
    searcher = Searcher(index)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert names(searcher.answer("a cat", 1)) == ["chelsea.png"]
    assert names(searcher.like(photos / "nature" / "flower.jpg", 1)) == ["flower.jpg"]
    attach_ranker(index)
    index.set_policy(None)
    index.close()
    assert index.catalogue.photo_count() == 18
    assert index.folder == tmp_path / "idx"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_tilde_is_the_home_directory(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(plain, tmp_path / "idx")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Index.open("~/idx").folder == tmp_path / "idx"


def test_a_closed_searcher_says_so_and_its_index_opens_again(plain: Path) -> None:
    index = Index.open(plain)
    with Searcher(index) as searcher:
        assert names(searcher.answer("a cat", 1)) == ["chelsea.png"]
    line = "the searcher is closed; open another: Searcher(Index.open(folder))"
    assert refusal(lambda: searcher.answer("a cat")) == line
    assert refusal(lambda: searcher.encode_queries(["a cat"])) == line
    assert refusal(searcher.__enter__) == line
    searcher.close()
    with index:
        assert names(Searcher(index).answer("a cat", 1)) == ["chelsea.png"]


def open_files(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open or mapped."""
    links = [Path("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")]
    open_now = [os.readlink(link) for link in links if link.is_symlink()]
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return [name for name in (*open_now, *mapped) if str(folder) in name]


def test_a_query_that_runs_while_another_thread_closes_is_answered_and_no_file_stays_open(
    plain: Path, tmp_path: Path
) -> None:
    shutil.copytree(plain, tmp_path / "idx")
    ranked, closed = threading.Event(), threading.Event()

    def wait_for_close(stage: str, _seconds: float) -> None:
        if stage == "rerank":
            ranked.set()
            closed.wait(60)

    searcher = Searcher(Index.open(tmp_path / "idx"), timer=wait_for_close)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(names(searcher.answer("a cat", 1))))
    thread.start()
    assert ranked.wait(60)
    searcher.close()
    assert refusal(lambda: searcher.answer("a dog")).startswith("the searcher is closed")
    closed.set()
    thread.join()
    assert found == ["chelsea.png"]
    assert open_files(tmp_path) == []


def test_a_searcher_that_answered_nothing_leaves_no_file_open(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path / "idx")
    searcher = Searcher(Index.open(tmp_path / "idx"))
    assert any(name.endswith("candidates.faiss") for name in open_files(tmp_path))
    searcher.close()
    assert open_files(tmp_path) == []


def test_a_searcher_may_be_closed_by_its_own_progress(plain: Path) -> None:
    searcher = Searcher(Index.open(plain))
    (result,) = searcher.answer_many(["a cat"], 1, on_progress=lambda done, total: searcher.close())
    assert names(result) == ["chelsea.png"]
    assert refusal(lambda: searcher.answer("a cat")).startswith("the searcher is closed")


@pytest.mark.parametrize("make", [Index.open, lambda folder: Searcher(Index.open(folder))])
def test_neither_an_index_nor_a_searcher_is_pickled(plain: Path, make: Callable[[Path], object]) -> None:
    opened = make(plain)
    with pytest.raises(TypeError, match=f"a.? {type(opened).__name__} cannot be pickled: open .* in every process"):
        pickle.dumps(opened)

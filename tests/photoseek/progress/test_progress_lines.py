import threading

import pytest

from photoseek.progress import console
from photoseek.progress.progress_lines import ProgressLines, duration


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock):
    said = ProgressLines(lambda _line: None, 1000, clock)
    yield said
    said.close()


def test_a_line_has_count_rate_time_left_and_remark(lines: ProgressLines, clock: Clock) -> None:
    lines("looking for photos", 0, 0)
    clock.now += 10
    assert lines.line() == "looking for photos: 0"
    lines("looking for photos", 12_000, 0)
    assert lines.line() == "looking for photos: 12,000, 1,200 per second"
    lines("indexing", 0, 8000)
    clock.now += 20
    lines("indexing", 1000, 8000)
    lines.remark("slowest so far a.tif (7.5 s)")
    assert lines.line() == ("indexing: 1,000 of 8,000, 50.0 per second, 2 min 20 s left, slowest so far a.tif (7.5 s)")
    clock.now += 20
    lines("indexing", 8000, 8000)
    assert lines.line() == "indexing: 8,000 of 8,000, 200 per second, slowest so far a.tif (7.5 s)"
    lines("ranker's view", 1, 2)
    assert lines.line() == "ranker's view: 1 of 2"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3601, "1 h"),
        (100 * 3600, "4 d 4 h"),
    ],
)
def test_durations_are_said_to_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_lines_come_although_the_stage_stands_still(clock: Clock) -> None:
    said, enough = [], threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            enough.set()

    lines = ProgressLines(say, 0.001, clock)
    lines("indexing", 3, 9)
    assert enough.wait(30)
    lines.close()
    assert set(said) == {"indexing: 3 of 9"}


def test_nothing_is_said_before_the_first_stage_or_when_nobody_reads(clock: Clock) -> None:
    tried = threading.Event()

    def broken(_line: str) -> None:
        tried.set()
        raise BrokenPipeError

    lines = ProgressLines(broken, 0.001, clock)
    assert not tried.wait(0.05)
    lines("indexing", 1, 2)
    assert tried.wait(30)
    lines.close()


def test_off_a_terminal_lines_go_to_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LINE_SECONDS", 0.001)
    said = threading.Event()
    say = console.say
    monkeypatch.setattr(console, "say", lambda line: (say(line), said.set()))
    with console.progress_bars(quiet=False) as on_stage:
        on_stage("indexing", 2, 4)
        assert said.wait(30)
    assert capsys.readouterr().err.splitlines()[0].startswith("indexing: 2 of 4")
    with console.progress_bars(quiet=True) as on_stage:
        on_stage("indexing", 2, 4)
        on_stage.remark("quiet")
    assert capsys.readouterr().err == ""

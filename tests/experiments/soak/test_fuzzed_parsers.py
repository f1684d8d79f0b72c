"""The short form of the soak with fuzzed parsers, and that it can fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.soak import fuzzed_parsers
from experiments.soak.fuzzed_parsers import TARGETS, fuzz
from indexer.errors import PhotoseekError


@pytest.mark.parametrize("name", ["query", "queries.jsonl", "ExpertAnnotations.tsv", "manifest", "view", "policy"])
def test_a_parser_answers_or_refuses_whatever_it_gets(name: str) -> None:
    assert fuzz(name, 300, 5) == (300, None)


# Parts of files, and cards without their files.
REFUSED = ("queries.parquet", "ranker card", "ranker weights", "view")


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_first_inputs_of_every_parser_are_read_or_refused(name: str, tmp_path: Path) -> None:
    parser = TARGETS[name].make(tmp_path)
    seeds = TARGETS[name].seeds()
    assert seeds
    for data in seeds:
        if name in REFUSED:
            with pytest.raises(PhotoseekError):
                parser(data)
        else:
            parser(data)


BROKEN = """
import sys
from experiments.soak import fuzzed_parsers
from experiments.soak.fuzzed_parsers import Target, _fuzz_inside

def break_at_a_letter(data):
    if b"x" in data:
        raise KeyError("x")

fuzzed_parsers.TARGETS["broken"] = Target(lambda _scratch: break_at_a_letter, lambda: [b"wwww"])
_fuzz_inside("broken", 100_000, 0)
"""


def test_an_exception_that_the_fuzzer_finds_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    monkeypatch.setattr(
        fuzzed_parsers.subprocess, "run", lambda _command, **options: run([sys.executable, "-c", BROKEN], **options)
    )
    count, fault = fuzz("broken", 100_000, 0)
    assert count == 0
    assert fault is not None
    assert "KeyError: 'x'" in fault

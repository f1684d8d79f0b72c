import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from search.moderation.audit_log import BATCH, KEPT, LONGEST_TEXT, AuditLog


def write_many(folder: Path, name: str, limit: int) -> None:
    log = AuditLog(folder, limit)
    for n in range(200):
        log.write([{"event": "query", "query": f"{name} {n}", "padding": "x" * 500}])


def test_entries_come_back_in_their_order_with_format_and_time(tmp_path):
    log = AuditLog(tmp_path)
    begin = datetime.now(UTC)
    log.write([{"event": "query", "query": "a child"}, {"event": "photo", "photo": "caf\udce9\n.jpg"}])
    log.write([{"event": "like", "photo": "b.jpg"}])
    entries = list(log.entries())
    for entry in entries:
        assert (datetime.fromisoformat(entry.pop("time")) - begin).total_seconds() == pytest.approx(0, abs=60)
    assert entries == [
        {"format": 1, "event": "query", "query": "a child"},
        {"format": 1, "event": "photo", "photo": "caf\udce9\n.jpg"},
        {"format": 1, "event": "like", "photo": "b.jpg"},
    ]
    assert len((tmp_path / "audit.jsonl").read_bytes().splitlines()) == 3


def test_a_long_query_is_cut_and_a_long_path_is_not(tmp_path):
    log = AuditLog(tmp_path)
    log.write([{"query": "x" * 5000, "photo": "y" * 5000, "score": 0.5}])
    entry = next(log.entries())
    assert (entry["query"], entry["photo"], entry["score"]) == ("x" * LONGEST_TEXT + "…", "y" * 5000, 0.5)


def test_the_log_moves_on_at_its_limit_and_keeps_so_many(tmp_path):
    log = AuditLog(tmp_path, limit=100)
    for n in range(KEPT + 4):
        log.write([{"n": n, "padding": "x" * 100}])
    # Every entry fills the log, which is renamed at once.
    names = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert names == [f"audit.{n}.jsonl" for n in range(1, KEPT + 1)]
    assert [entry["n"] for entry in log.entries()] == [4, 5, 6, 7]
    log.write([{"n": 8}])
    assert [entry["n"] for entry in log.entries()] == [4, 5, 6, 7, 8]


def test_many_entries_are_written_in_several_writes(tmp_path):
    log = AuditLog(tmp_path)
    log.write({"n": n} for n in range(2 * BATCH + 1))
    assert [entry["n"] for entry in log.entries()] == list(range(2 * BATCH + 1))


@pytest.mark.parametrize("limit", [10_000_000, 150_000])
def test_lines_of_several_processes_never_mix_nor_get_lost_while_the_log_moves_on(tmp_path, limit):
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=write_many, args=(tmp_path, name, limit)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = [line for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()]
    # 800 lines of some 600 bytes are 480 KB: fewer files than are kept.
    assert sorted(json.loads(line)["query"] for line in lines) == sorted(f"{w} {n}" for w in "abcd" for n in range(200))


def test_a_line_that_a_full_disk_cut_short_is_passed_over(tmp_path):
    log = AuditLog(tmp_path)
    log.write([{"n": 1}])
    with open(log.path, "a") as file:
        file.write('{"n": 2, "cut\n')
    log.write([{"n": 3}])
    assert [entry["n"] for entry in log.entries()] == [1, 3]


def test_a_log_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        AuditLog(tmp_path).write([{"n": 1}])

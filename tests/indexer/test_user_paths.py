"""Paths as users write them."""

import os
import pwd
from pathlib import Path

import pytest

from answers import refusal
from indexer.user_paths import absolute_path


def test_a_path_is_absolute_and_keeps_its_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute_path("link/../link/x") == tmp_path / "link" / "x"
    assert absolute_path("~/idx") == Path("/home/me/idx")
    assert absolute_path("./~/idx") == tmp_path / "~" / "idx"
    assert absolute_path("~backup of mine") == tmp_path / "~backup of mine"
    line = "~no_such_user/x: there is no user no_such_user; if it is a folder's own name, write ./~no_such_user/x"
    assert refusal(lambda: absolute_path("~no_such_user/x")) == line
    assert absolute_path("./~no_such_user/x") == tmp_path / "~no_such_user" / "x"
    (tmp_path / "~no_such_user").mkdir()
    assert absolute_path("~no_such_user/x") == tmp_path / "~no_such_user" / "x"
    assert absolute_path(os.fsdecode(b"caf\xe9")) == tmp_path / os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("path", [None, 3, b"idx"])
def test_what_is_no_path_is_one_line(path: object) -> None:
    line = f"a path must be a str or a Path, got {path!r}"
    assert refusal(lambda: absolute_path(path)) == line  # type: ignore[arg-type]


def test_no_home_and_no_current_folder_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_user: int) -> None:
        raise KeyError

    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert refusal(lambda: absolute_path("idx")) == "idx: the current folder is gone; go to another one"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert refusal(lambda: absolute_path("~/idx")) == "~/idx: there is no home directory; write the path out"

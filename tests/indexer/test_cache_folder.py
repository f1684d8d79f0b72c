"""The cache folder: where it lies without a home, and what is said where it cannot be written."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError

from answers import refusal
from indexer import cache_folder as module
from indexer.cache_folder import ADVICE, cache_folder, explain_cache_errors


@pytest.fixture
def no_override(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("PHOTOSEEK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    return tmp_path / "tmp" / f"photoseek-cache-{os.getuid()}"


def test_it_is_what_the_environment_says_even_after_chdir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", "~/my cache")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "my cache"


def test_it_lies_in_the_home_directory(no_override: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "photoseek"
    assert not no_override.exists()


def no_home(_name: str) -> Path:
    raise RuntimeError("could not determine the home directory for '~/.cache'")


@pytest.mark.parametrize("found", [lambda _name: Path("~/.cache/photoseek"), no_home])
def test_without_a_home_it_is_the_users_own_folder_among_temporary_files(
    no_override: Path, monkeypatch: pytest.MonkeyPatch, found: Callable[[str], Path]
) -> None:
    monkeypatch.setattr(module, "user_cache_path", found)
    assert cache_folder() == no_override
    assert no_override.stat().st_mode & 0o777 == 0o700
    assert cache_folder() == no_override


def test_a_home_that_cannot_be_written_is_passed_over(no_override: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "user_cache_path", lambda _name: Path("/proc/none/photoseek"))
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert cache_folder() == no_override


def test_a_folder_that_somebody_else_may_write_is_refused(
    no_override: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "user_cache_path", lambda _name: Path("~/.cache/photoseek"))
    no_override.mkdir()
    no_override.chmod(0o777)
    line = f"the cache folder {no_override} belongs to somebody else ({ADVICE})"
    assert refusal(cache_folder) == line
    no_override.rmdir()
    (tmp_path / "theirs").mkdir()
    no_override.symlink_to(tmp_path / "theirs")
    assert refusal(cache_folder) == line


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (SafetensorError("No space left on device"), "No space left on device"),
    ],
)
def test_errors_of_the_disk_are_one_line(error: Exception, reason: str) -> None:
    def act() -> None:
        with explain_cache_errors(Path("/cache")):
            raise error

    assert refusal(act) == f"cache /cache cannot be written: {reason} ({ADVICE})"

"""A cache of a test's own, for the encoders that it exports."""

from pathlib import Path

import pytest


@pytest.fixture
def seeded_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up an empty cache, and torch on one thread with the same random weights every time."""
    import torch

    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    torch.manual_seed(0)

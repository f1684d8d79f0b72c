"""Builds that tell their notes, and builds that must read nothing."""

import pytest

from indexer.callbacks import BuildCallbacks
from tiny_encoder import Refusing


@pytest.fixture
def notes():
    return []


@pytest.fixture
def told(notes):
    """Options of a build whose notes are kept."""
    return {"callbacks": BuildCallbacks(on_note=notes.append)}


@pytest.fixture
def unread(monkeypatch, told):
    """Return a function that forbids to decode and embed from now on, and gives the options of such a build."""

    def refuse(root, files, *_, **__):
        assert list(files) == []
        yield from ()

    def forbid():
        monkeypatch.setattr("indexer.building.photo_writer.embed_files", refuse)
        return {"encoder": Refusing(), **told}

    return forbid

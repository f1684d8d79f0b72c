"""Four photos and a place for their index, where a test brings none of its own."""

import pytest

from tiny_index import grey


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    grey(root, a=0, b=51, trip__c=102, trip__d=255)
    return root


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"

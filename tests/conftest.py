"""Fixtures of all tests: the course's judged folder, if it is beside the checkout, and torch on one thread."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no failure: no test asserts a time.
hypothesis.settings.register_profile("photoseek", deadline=None)
hypothesis.settings.load_profile("photoseek")
# For hours rather than minutes: `make soak` asks for it.
hypothesis.settings.register_profile("soak", deadline=None, max_examples=200, stateful_step_count=50, print_blob=True)

FLICKR8K = Path(__file__).resolve().parents[2] / "shared" / "data" / "flickr8k"


@pytest.fixture(scope="session")
def flickr8k() -> Path:
    """Return the course's judged folder; a test that needs it is skipped where it is missing."""
    if not FLICKR8K.is_dir():
        pytest.skip("needs ../shared/data/flickr8k beside the checkout")
    return FLICKR8K


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Run torch and NumPy on one thread, which is quicker on tiny data and gives the same sums every time."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)

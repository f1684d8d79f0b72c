"""The cache folder, for what can be made again: exported networks, cached embeddings."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """Return `$PHOTOSEEK_CACHE`, or else the user's cache folder of photoseek."""
    override = os.environ.get("PHOTOSEEK_CACHE")
    return Path(override) if override else user_cache_path("photoseek")

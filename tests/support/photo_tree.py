"""Write trees of files for walks."""

import os
from pathlib import Path


def write(root: Path, *names: str | bytes, content: bytes = b"") -> None:
    """Write files of one content below a folder."""
    for name in names:
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)

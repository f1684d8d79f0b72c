"""Photos in a report: file -> a small JPEG inside the page; what a policy withholds is never opened."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from indexer.photos.decode import MAX_PIXELS, UnreadablePhoto, open_upright
from reranker.judgments.judged_folder import Judgments, photo_of
from reranker.moderation.policy import Policy
from reranker.reports.page import Thumb

HEIGHT = 110  # pixels that a photo is high on the page
DENSITY = 1.5  # pixels of the file to one of the page, for sharp screens
WIDEST = 2.2  # a panorama is cut to this many times its height
QUALITY = 72


@dataclass(slots=True)
class Album:
    """Photos by name with a text that says what is on each. `withheld` photos are named and never shown."""

    files: Mapping[str, Path]
    texts: Mapping[str, str]
    withheld: frozenset[str] = frozenset()
    policy: Policy | None = None
    _sources: dict[str, tuple[str, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, judgments: Judgments, policy: Policy | None) -> "Album":
        """The photos of judged data, each with its first caption; a policy withholds those that any of their own
        captions or queries puts under it."""
        own = [*judgments.captions.items(), *((f"{query.photo}#q", query.text) for query in judgments.queries)]
        texts: dict[str, str] = {}
        for caption, text in own:
            texts.setdefault(photo_of(caption), text)
        if policy is None:
            return cls(judgments.photos, texts)
        return cls(judgments.photos, texts, frozenset(policy.blocked_photos(own)), policy)

    def shows(self, name: str, text: str = "") -> bool:
        """Whether the photo may be shown, beside this text: what a policy protects is in neither."""
        return name not in self.withheld and not (self.policy is not None and self.policy.blocks(text))

    def thumb(self, name: str, note: str = "", mark: str = "") -> Thumb:
        """A photo as it stands on a page; one that is withheld or cannot be read keeps its place and says why."""
        if name in self.withheld:
            return Thumb(
                "", f"photo {name}, withheld: {self.policy.disclaimer if self.policy else ''}", 0, 0, note, mark
            )
        text = self.texts.get(name)
        alt = f"photo {name}: {text}" if text else f"photo {name}"
        try:
            if name not in self._sources:
                self._sources[name] = _small(self.files[name])
        except (KeyError, OSError, UnreadablePhoto):
            return Thumb("", f"photo {name} cannot be read", 0, 0, note, mark)
        source, width = self._sources[name]
        return Thumb(source, alt, width, HEIGHT, note, mark)


def _small(path: Path) -> tuple[str, int]:
    """A JPEG as data: URI, and its width on the page."""
    from PIL import Image

    wanted = round(HEIGHT * DENSITY)
    try:
        photo, _ = open_upright(path.read_bytes(), MAX_PIXELS, at_least=wanted)
    except (UnreadablePhoto, OSError):
        raise
    except Exception as error:  # Pillow's plugins raise a dozen kinds on broken data
        raise UnreadablePhoto(str(error)) from None
    width = max(1, round(photo.width * wanted / photo.height))
    photo = photo.resize((width, wanted), Image.Resampling.BILINEAR)
    if width > WIDEST * wanted:
        left = (width - round(WIDEST * wanted)) // 2
        photo = photo.crop((left, 0, left + round(WIDEST * wanted), wanted))
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", round(photo.width / DENSITY)

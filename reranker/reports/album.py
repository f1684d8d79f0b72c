"""Photos in a report: small JPEG images inside the page. Photos that a policy withholds are never opened."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from indexer.photos.decode import MAX_PIXELS, UnreadablePhotoError, decode_upright
from reranker.judgments.judgments import Judgments, photo_of
from reranker.moderation.policy import Policy
from reranker.reports.page import Thumb

HEIGHT = 110  # height of a photo on the page, in CSS pixels
DENSITY = 1.5  # image pixels per CSS pixel, so that photos are sharp on screens of high resolution
WIDEST = 2.2  # largest width of a photo as a multiple of its height; a wider one is cropped at both sides
QUALITY = 72  # JPEG quality: smaller files, and no artefacts that show at this size


@dataclass(slots=True)
class Album:
    """The photos that a report may show.

    Attributes:
        files: Name of a photo -> its file.
        texts: Name of a photo -> a text that says what is on it.
        withheld: Names of photos that are named and never shown.
        policy: The policy that withholds them; None where all photos are shown.
    """

    files: Mapping[str, Path]
    texts: Mapping[str, str]
    withheld: frozenset[str] = frozenset()
    policy: Policy | None = None
    _sources: dict[str, tuple[str, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, judgments: Judgments, policy: Policy | None) -> "Album":
        """Make the album of judged data.

        Args:
            judgments: The judged data; the text of a photo is its first caption.
            policy: Withholds every photo of which a caption or a query names what it protects; None withholds none.

        Returns:
            The album.
        """
        own = [*judgments.captions.items(), *((f"{query.photo}#q", query.text) for query in judgments.queries)]
        texts: dict[str, str] = {}
        for caption, text in own:
            texts.setdefault(photo_of(caption), text)
        if policy is None:
            return cls(judgments.photos, texts)
        return cls(judgments.photos, texts, frozenset(policy.blocked_photos(own)), policy)

    def shows(self, name: str, text: str = "") -> bool:
        """Tell whether a photo may be shown beside a text.

        Args:
            name: Name of the photo.
            text: A text that stands beside it, such as a query.

        Returns:
            True if the policy protects neither the photo nor what the text names.
        """
        return name not in self.withheld and not (self.policy is not None and self.policy.blocks(text))

    def thumb(self, name: str, note: str = "", mark: str = "") -> Thumb:
        """Return a photo for a page.

        Args:
            name: Name of the photo.
            note: Text below it.
            mark: `own` for a frame around it.

        Returns:
            The photo; one that is withheld or cannot be read has no image, and `alt` says why.
        """
        if name in self.withheld:
            return Thumb(
                "", f"photo {name}, withheld: {self.policy.disclaimer if self.policy else ''}", 0, 0, note, mark
            )
        text = self.texts.get(name)
        alt = f"photo {name}: {text}" if text else f"photo {name}"
        try:
            if name not in self._sources:
                self._sources[name] = _small(self.files[name])
        except (KeyError, OSError, UnreadablePhotoError):
            return Thumb("", f"photo {name} cannot be read", 0, 0, note, mark)
        source, width = self._sources[name]
        return Thumb(source, alt, width, HEIGHT, note, mark)


def _small(path: Path) -> tuple[str, int]:
    """Make a small JPEG: its data: URI, and its width on the page in CSS pixels."""
    from PIL import Image

    wanted = round(HEIGHT * DENSITY)
    try:
        photo, _, _ = decode_upright(path.read_bytes(), MAX_PIXELS, min_side=wanted)
    except (UnreadablePhotoError, OSError):
        raise
    except Exception as error:  # Pillow's plugins raise a dozen kinds on broken data
        raise UnreadablePhotoError(str(error)) from None
    width = max(1, round(photo.width * wanted / photo.height))
    photo = photo.resize((width, wanted), Image.Resampling.BILINEAR)
    if width > WIDEST * wanted:
        left = (width - round(WIDEST * wanted)) // 2
        photo = photo.crop((left, 0, left + round(WIDEST * wanted), wanted))
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", round(photo.width / DENSITY)

"""Small real indexes, with regions and without: the photos that scikit-image and scikit-learn ship, default encoders,
the shipped ranker."""

import shutil
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.index import DEFAULT_ENCODER, Index
from indexer.storage.catalogue import Catalogue
from reranker.ranker import Ranker

LAYOUT = {
    "animals": ["chelsea.png", "horse.png"],
    "space": ["astronaut.png", "moon.png", "rocket.jpg", "hubble_deep_field.jpg"],
    "space 2": ["coins.png", "page.png"],
    "things": ["coffee.png", "motorcycle_left.png", "clock_motion.png"],
    "textures": ["brick.png", "grass.png", "gravel.png"],
    "nature": ["flower.jpg", "china.jpg"],
}


def shipped_photos() -> dict[str, Path]:
    """Return, by name, the file of every photo that comes with scikit-image and scikit-learn."""
    found = {}
    for package, folder in [("skimage", "data"), ("sklearn", "datasets/images")]:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        found.update({path.name: path for path in (Path(spec.origin).parent / folder).iterdir()})
    return found


@pytest.fixture(scope="session")
def encoder() -> ImageEncoder:
    return load_image_encoder(DEFAULT_ENCODER, device="cpu")


@pytest.fixture(scope="session")
def ranker() -> Ranker:
    return Ranker.default()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 photos in folders, with a copy of the cat, and the coffee once more as other bytes of the same pixels."""
    root, shipped = tmp_path_factory.mktemp("photos"), shipped_photos()
    for folder, names in LAYOUT.items():
        (root / folder).mkdir()
        for name in names:
            shutil.copy(shipped[name], root / folder / name)
    shutil.copy(shipped["chelsea.png"], root / "animals" / "copy of chelsea.png")
    with Image.open(shipped["coffee.png"]) as coffee:
        coffee.save(root / "things" / "tea.png", compress_level=1)
    return root


def build_folder(root: Path, folder: Path, encoder: ImageEncoder, ranker: Ranker, regions: bool) -> Path:
    """Build an index without stacks: coffee and tea are a hit each, as tests of the ranking look at every photo."""
    Index.build(root, folder, encoder=encoder, regions=regions).attach(ranker)
    with closing(Catalogue(folder / "catalogue.sqlite", writable=True)) as catalogue, catalogue.transaction():
        catalogue.stacks.replace_stacks([])
    return folder


@pytest.fixture(scope="session")
def plain(photos: Path, encoder: ImageEncoder, ranker: Ranker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the index folder of `photos` without regions, the ranker attached. Tests only read it."""
    return build_folder(photos, tmp_path_factory.mktemp("plain") / "photos", encoder, ranker, regions=False)


@pytest.fixture(scope="session")
def regional(photos: Path, encoder: ImageEncoder, ranker: Ranker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the index folder of `photos` with regions, the ranker attached. Tests only read it."""
    return build_folder(photos, tmp_path_factory.mktemp("regional") / "photos", encoder, ranker, regions=True)


@pytest.fixture(scope="session", params=["plain", "regional"])
def built(request: pytest.FixtureRequest) -> Path:
    """Return the index folder without regions, then the one with regions."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture(params=["plain", "regional"])
def grown(
    request: pytest.FixtureRequest, photos: Path, encoder: ImageEncoder, ranker: Ranker, tmp_path: Path
) -> tuple[Path, Path]:
    """Return (photo folder, index) of seven photos with the ranker attached; then one is removed and two are added."""
    root, folder = tmp_path / "root", tmp_path / "index"
    shutil.copytree(photos / "things", root)
    for name in ("animals/horse.png", "space/moon.png", "space/rocket.jpg"):
        shutil.copy(photos / name, root)
    (root / "tea.png").unlink()
    build_folder(root, folder, encoder, ranker, regions=request.param == "regional")
    (root / "coffee.png").unlink()
    for name in ("animals/chelsea.png", "nature/flower.jpg"):
        shutil.copy(photos / name, root)
    Index.build(root, folder, encoder=encoder)
    return root, folder

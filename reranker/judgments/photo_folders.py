"""List the photos of a judged folder: their names and files, folder by folder."""

from pathlib import Path

PHOTO_FOLDERS = ("train_images", "test_images", "train_224", "Flicker8k_Dataset", "Flickr8k_Dataset", "Images")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def photo_files(folder: Path) -> dict[str, Path]:
    """List the photos in a folder, not below it.

    Args:
        folder: A folder that exists.

    Returns:
        Name of a photo -> its file, by name. Folders and pipes are no photos; a link that leads nowhere is a photo
        that does not open.
    """
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    return {p.name: p for p in found if p.is_file() or not p.exists()}


def find_photos(root: Path) -> tuple[dict[str, Path], dict[str, tuple[str, ...]]]:
    """List the photos in the photo folders of a judged folder.

    Args:
        root: The judged folder.

    Returns:
        Name of a photo -> its file, of the first photo folder that has the name; and name of a photo folder that
        exists -> names of the photos in it.
    """
    photos: dict[str, Path] = {}
    sets = {}
    for name in PHOTO_FOLDERS:
        if (root / name).is_dir():
            found = photo_files(root / name)
            sets[name] = tuple(found)
            photos |= {photo: path for photo, path in found.items() if photo not in photos}
    return photos, sets

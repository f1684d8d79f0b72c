"""Folders and files that are left out by default: thumbnails, bins, snapshots and caches of other programs.

A name is met in any case, `*` stands for any letters, and `A/B` is the folder B inside a folder A. Patterns of the user
and ignore files go before all of this (`patterns.py`). The folder that a build names is never left out.
"""

import fnmatch
import re

THUMBNAILS, BINS, SNAPSHOTS, CACHES = "thumbnails", "bins", "snapshots", "caches"
# A name that begins with a dot, and a folder with a file `.nomedia`, by which phones keep apps' pictures out of albums.
HIDDEN, NOMEDIA = "hidden", "nomedia"
# Index folders of photoseek.
INDEXES = "indexes"

# Names of folders, what they hold, and who makes them.
FOLDERS = (
    ("@eaDir", THUMBNAILS, "Synology DSM: one per folder, with three sizes of every photo"),
    ("@tmp", CACHES, "Synology DSM"),
    ("#recycle", BINS, "Synology DSM, TerraMaster, ReadyNAS"),
    ("#snapshot", SNAPSHOTS, "Synology DSM: everything once more for every snapshot"),
    (".@__thumb", THUMBNAILS, "QNAP QTS: one per folder"),
    ("@Recycle", BINS, "QNAP QTS"),
    (".@recycle", BINS, "Zyxel"),
    ("@Recently-Snapshot", SNAPSHOTS, "QNAP QTS"),
    (".wdmc", THUMBNAILS, "WD My Cloud"),
    ("Recycle Bin - Volume_*", BINS, "WD My Cloud"),
    (".recycle", BINS, "Samba's recycle module, TrueNAS"),
    (".Recycle.Bin", BINS, "Unraid"),
    ("trashbox", BINS, "Buffalo"),
    ("Network Trash Folder", BINS, "AFP shares"),
    (".zfs", SNAPSHOTS, "ZFS"),
    (".snapshot", SNAPSHOTS, "NetApp, CephFS"),
    ("~snapshot", SNAPSHOTS, "NetApp, over SMB"),
    (".snapshots", SNAPSHOTS, "snapper, on Btrfs"),
    ("Backups.backupdb", SNAPSHOTS, "macOS Time Machine: everything once more for every backup"),
    ("lost+found", BINS, "fsck of ext4: pieces of files without names"),
    (".Trash", BINS, "Linux, on other disks"),
    (".Trash-*", BINS, "Linux, on other disks: .Trash-1000 of the first user"),
    (".Trashes", BINS, "macOS, on other disks"),
    (".dtrash", BINS, "digiKam"),
    ("$RECYCLE.BIN", BINS, "Windows"),
    ("RECYCLER", BINS, "Windows XP"),
    ("System Volume Information", SNAPSHOTS, "Windows"),
    ("__MACOSX", HIDDEN, "zip files of macOS: the hidden files once more"),
    (".thumbnails", THUMBNAILS, "Android and GNOME"),
    (".thumbs", THUMBNAILS, "many galleries"),
    ("thumbs", THUMBNAILS, "Immich, and many galleries"),
    ("thumbnails", THUMBNAILS, "PhotoPrism's cache, and many galleries"),
    ("encoded-video", CACHES, "Immich"),
    ("storage/cache", CACHES, "PhotoPrism"),
    ("storage/sidecar", CACHES, "PhotoPrism: previews of RAW files and of videos"),
    ("appdata_*/preview", THUMBNAILS, "Nextcloud"),
    ("files_trashbin", BINS, "Nextcloud, ownCloud"),
    ("files_versions", SNAPSHOTS, "Nextcloud, ownCloud"),
    ("*.trickplay", THUMBNAILS, "Jellyfin: pictures of a video, second by second"),
    ("*.lrdata", THUMBNAILS, "Lightroom Classic: previews, beside the catalogue"),
    ("CaptureOne/Cache", THUMBNAILS, "Capture One: previews, beside the photos"),
    ("*.cocatalog/Cache", THUMBNAILS, "Capture One: previews, in the catalogue"),
    ("iPod Photo Cache", THUMBNAILS, "iTunes"),
    ("Android/data", CACHES, "Android: what apps have loaded"),
    (".picasaoriginals", HIDDEN, "Picasa: photos as they were before they were edited; the edited ones lie beside"),
)
# Packages of Apple's Photos, iPhoto and Aperture. The photos in them are those below the folders of `ORIGINALS`; all
# else is previews, faces and databases.
LIBRARIES = (b".photoslibrary", b".photolibrary", b".migratedphotolibrary", b".aplibrary")
ORIGINALS = (b"originals", b"masters")
# Beginnings of names of thumbnails that Synology's export and backup leave among the photos.
THUMBNAIL_FILES = (b"synophoto_thumb_", b"synofile_thumb_")

_BY_NAME = {name.lower().encode(): kind for name, kind, _ in FOLDERS if not set("*/") & set(name)}
_BY_PATTERN = [
    (re.compile(fnmatch.translate(name.lower() if "/" in name else f"*/{name.lower()}").encode()), kind)
    for name, kind, _ in FOLDERS
    if set("*/") & set(name)
]


def kind_of_folder(name: bytes, parent: bytes) -> str | None:
    """Return what a folder holds that is left out by default; None for a folder like any other.

    Args:
        name: Its name.
        parent: The name of the folder that it is in.
    """
    name, parent = name.lower(), parent.lower()
    if parent.endswith(LIBRARIES) and name not in ORIGINALS:
        return THUMBNAILS
    kind = _BY_NAME.get(name)
    if kind is None:
        kind = next((kind for pattern, kind in _BY_PATTERN if pattern.match(parent + b"/" + name)), None)
    return HIDDEN if kind is None and name.startswith(b".") else kind


def kind_of_file(name: bytes) -> str | None:
    """Return why a file with a photo's name, or without an ending, is left out by default; None if it is not."""
    if name.startswith(b"."):
        return HIDDEN
    return THUMBNAILS if name.lower().startswith(THUMBNAIL_FILES) else None


def kind_of_listing(names: set[bytes]) -> str | None:
    """Return why a folder is left out by default for what is in it.

    Args:
        names: Those of the names in it that say something.
    """
    if b"manifest.json" in names and names.intersection(_OF_INDEX):
        return INDEXES
    return NOMEDIA if b".nomedia" in names else None


# Of these an index has one or both: a compacted one has a catalogue of another name, but it was locked for that.
_OF_INDEX = (b"catalogue.sqlite", b"writer.lock")
# The names that `kind_of_listing` looks for.
TELLING_NAMES = frozenset((b"manifest.json", b".nomedia", *_OF_INDEX))

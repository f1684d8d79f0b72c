import os
from pathlib import Path

import pytest

from photoseek.watching.network_disks import network_type

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/nas rw,relatime shared:2 - nfs4 nas:/photos rw
31 22 0:41 / /mnt/my\\040disk rw,relatime - cifs //nas/photos rw
32 30 8:2 / /mnt/nas/local rw - xfs /dev/sdb1 rw
33 22 0:42 / /home/me/cloud rw - fuse.rclone remote: rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "nfs4"),
        ("/mnt", "nfs4"),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nas/2024", "nfs4"),
        ("/mnt/nas/local", None),
        ("/mnt/nasty", None),
        ("/mnt/my disk/a", "cifs"),
        ("/home/me", "fuse.rclone"),
        ("/home/me/pictures", None),
    ],
)
def test_network_disks_are_found_above_and_below_a_folder(tmp_path: Path, folder: str, kind: str | None) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert network_type(os.fsencode(folder), tmp_path / "mountinfo") == kind


def test_without_the_kernels_list_nothing_is_found(tmp_path: Path) -> None:
    assert network_type(b"/mnt/nas", tmp_path / "none") is None

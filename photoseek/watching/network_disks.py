"""Find the folders on network disks, which report no changes that other machines make."""

import os
from pathlib import Path

# Types of file systems that tell nothing of what other machines write; FUSE ones begin with "fuse.".
NETWORK_TYPES = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs")
    + ("9p", "virtiofs", "vboxsf", "prl_fs", "drvfs")  # folders of the host of a virtual machine
)
MOUNTS = Path("/proc/self/mountinfo")


def network_type(folder: bytes, mounts: Path = MOUNTS) -> str | None:
    """Return the type of a network disk that a folder lies on or that lies below the folder, None if there is none.

    Args:
        folder: The absolute path of a folder.
        mounts: The kernel's list of mounted disks; where there is no such file, nothing is found.
    """
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return None
    here, kind_here = b"", ""
    real = os.path.realpath(folder)
    for line in lines:
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw (proc(5)); blanks in names are octal numbers
        head, _, tail = line.partition(b" - ")
        place = head.split()[4].decode("unicode_escape").encode("latin-1")
        kind = tail.split()[0].decode(errors="replace")
        is_network = kind in NETWORK_TYPES or kind.startswith("fuse.")
        if is_network and place.startswith(real.rstrip(b"/") + b"/"):
            return kind
        if (real == place or real.startswith(place.rstrip(b"/") + b"/")) and len(place) >= len(here):
            here, kind_here = place, kind if is_network else ""
    return kind_here or None

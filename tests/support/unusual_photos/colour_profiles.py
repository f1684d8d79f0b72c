"""Make colour profiles (ICC): of screens with other primaries than sRGB, and of four inks."""

import struct

import numpy as np
from PIL import ImageCms

# Columns X, Y, Z of the primaries, adapted to D50 as profiles want them. Source: the profiles' specifications.
DISPLAY_P3 = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
SRGB = {
    b"rXYZ": (0.43607, 0.22249, 0.01392),
    b"gXYZ": (0.38515, 0.71687, 0.09708),
    b"bXYZ": (0.14307, 0.06061, 0.71410),
}


def srgb_profile() -> bytes:
    """Return the profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def display_p3_profile() -> bytes:
    """Return the profile of Display P3: sRGB's curve with wider primaries."""
    profile = bytearray(srgb_profile())
    for name, xyz in DISPLAY_P3.items():
        entry = profile.index(name)
        start = int.from_bytes(profile[entry + 4 : entry + 8], "big")
        profile[start + 8 : start + 20] = struct.pack(">3i", *(round(65536 * value) for value in xyz))
    return bytes(profile)


def display_p3_in_srgb(pixels: np.ndarray) -> np.ndarray:
    """Convert Display P3 to sRGB by the formulas, independent of any colour management.

    Args:
        pixels: (..., 3) uint8.

    Returns:
        (..., 3) float, 0 to 255.
    """
    encoded = pixels / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    to_xyz, from_xyz = (
        np.array([space[name] for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T for space in (DISPLAY_P3, SRGB)
    )
    mixed = (linear @ to_xyz.T @ np.linalg.inv(from_xyz).T).clip(0, 1)
    return 255 * np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055)


def ink_profile(lab_of_first_ink: tuple[float, float, float]) -> bytes:
    """Return the profile of four inks of which the first has the given colour; the others are grey.

    Args:
        lab_of_first_ink: CIELAB of the first ink, full, on white paper.
    """
    # A table of two steps per ink: paper, or as dark as the inks on it.
    table = []
    for first in (0, 1):
        for others in range(8):
            count = bin(others).count("1")
            lightness, a, b = lab_of_first_ink if first else (100.0, 0.0, 0.0)
            table.append((lightness * (1 - count / 4), a * (count == 0), b * (count == 0)))
    values = [round(v) for L, a, b in table for v in (L * 652.8, (a + 128) * 256, (b + 128) * 256)]
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft2" + bytes(4) + struct.pack(">BBBB", 4, 3, 2, 0) + matrix + struct.pack(">HH", 2, 2)
    lut += (
        struct.pack(">8H", *(0, 65535) * 4)
        + struct.pack(f">{len(values)}H", *values)
        + struct.pack(">6H", *(0, 65535) * 3)
    )
    lut += bytes(-len(lut) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = [(b"wtpt", white), (b"A2B0", lut)]
    place, directory, content = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags:
        directory += name + struct.pack(">II", place + len(content), len(data))
        content += data
    header = struct.pack(
        ">I4xI4s4s4s12s4s28x", place + len(content), 0x02400000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + directory + content

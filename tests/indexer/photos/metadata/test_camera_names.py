import pytest

from indexer.photos.metadata.camera_names import camera_name, lens_name


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("NIKON CORPORATION", "NIKON D90", "Nikon D90"),
        ("Canon", "Canon EOS 5D Mark III", "Canon EOS 5D Mark III"),
        ("SONY", "ILCE-7M3", "Sony ILCE-7M3"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("OLYMPUS IMAGING CORP.  ", "E-M5", "Olympus E-M5"),
        ("OLYMPUS OPTICAL CO.,LTD", "C3040Z", "Olympus C3040Z"),
        ("CASIO COMPUTER CO.,LTD.", "EX-Z750", "Casio EX-Z750"),
        ("EASTMAN KODAK COMPANY", "KODAK DX6490 ZOOM DIGITAL CAMERA", "Kodak DX6490 ZOOM DIGITAL CAMERA"),
        ("FUJIFILM", "X-T3", "Fujifilm X-T3"),
        ("FUJI PHOTO FILM CO., LTD.", "FinePix F10", "Fujifilm FinePix F10"),
        ("LEICA CAMERA AG", "LEICA M8", "Leica M8"),
        ("SAMSUNG TECHWIN CO., LTD.", "SAMSUNG NX10", "Samsung NX10"),
        ("samsung", "SM-G991B", "Samsung SM-G991B"),
        ("LG Electronics", "LG-H870", "LG LG-H870"),
        ("HTC", "HTC One", "HTC One"),
        ("Google", "Pixel 6", "Google Pixel 6"),
        ("DJI", "FC3170", "DJI FC3170"),
        ("PENTAX Corporation", "PENTAX K100D", "Pentax K100D"),
        ("Camera", "X100", "Camera X100"),
        ("Canon", "", "Canon"),
        ("Canon", "Canon", "Canon"),
        ("", "DSC-F828", "DSC-F828"),
        ("", "", None),
    ],
)
def test_makers_words_are_left_out_and_no_name_comes_twice(make: str, model: str, name: str | None) -> None:
    assert camera_name(make, model) == name


def test_names_are_cut_off() -> None:
    name = camera_name("x" * 5000, "y" * 5000)
    assert name is not None
    assert len(name) == 201


@pytest.mark.parametrize("name", ["", "----", "0.0 mm f/0.0", "0mm", "Unknown", "Unknown (-1)", "None", "n/a", "?"])
def test_a_lens_that_the_camera_does_not_know_is_none(name: str) -> None:
    assert lens_name(name) is None


def test_a_lens_keeps_its_name() -> None:
    assert lens_name(" EF24-105mm f/4L IS USM ") == "EF24-105mm f/4L IS USM"
    assert lens_name("0.5x Wide") == "0.5x Wide"

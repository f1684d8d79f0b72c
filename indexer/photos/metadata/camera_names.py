"""Clean the names of cameras and lenses: "NIKON CORPORATION" and "NIKON D90" become "Nikon D90"."""

import re

# Words that makers put behind their names.
COMPANY_WORDS = (
    *("ag", "camera", "co", "communications", "company", "computer", "corp", "corporation", "eastman", "electric"),
    *("electronics", "gmbh", "imaging", "inc", "industrial", "international", "limited", "ltd", "optical", "seiko"),
    *("techwin", "technologies", "technology"),
)
# Makers whose name is another word than the one that they write.
OTHER_NAMES = {"fuji photo film": "Fujifilm", "lge": "LG", "hewlett-packard": "HP", "om digital solutions": "OM System"}
# Names of this many letters or fewer are abbreviations, such as LG and HTC.
ABBREVIATION = 3
# What cameras write as the lens when they do not know it.
NO_LENS = re.compile(r"[-*\s?.]*|0(\.0)? ?mm.*|(unknown|none|n/a|no lens|manual lens).*|lens", re.IGNORECASE)
# Characters of a name that are kept.
LONGEST_NAME = 100


def camera_name(make: str, model: str) -> str | None:
    """Return the name of a camera.

    Args:
        make: What EXIF says of the maker.
        model: What it says of the model.

    Returns:
        The maker's usual name and the model, without repeating it; None if neither is known.
    """
    maker = _maker(make)
    model = model.strip()[:LONGEST_NAME]
    for name in (make.strip(), maker):
        if name and model.lower().startswith(name.lower() + " "):
            model = model[len(name) :].strip()
    if maker and model.lower() == maker.lower():
        model = ""
    return f"{maker} {model}".strip() or None


def lens_name(name: str) -> str | None:
    """Return the name of a lens; None if the camera did not know it."""
    name = name.strip()[:LONGEST_NAME]
    return None if NO_LENS.fullmatch(name) else name


def _maker(make: str) -> str:
    """Return the usual name of a maker."""
    words = [word for word in re.split(r"[\s,]+", make[:LONGEST_NAME]) if word]
    kept = [word for word in words if word.strip(".").lower() not in COMPANY_WORDS and word.strip(".")]
    # "CO.,LTD." is two words, "Co.Ltd" is one.
    kept = [word for word in kept if not re.fullmatch(r"(co\.?|corp\.?)?,?\.?(ltd\.?|inc\.?)", word, re.IGNORECASE)]
    name = " ".join(kept or words)
    if name.lower() in OTHER_NAMES:
        return OTHER_NAMES[name.lower()]
    if len(kept) <= 2 and (name.isupper() or name.islower()) and len(name) > ABBREVIATION:
        return name.title()
    return name

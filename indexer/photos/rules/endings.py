"""Endings of file names: which stand for photos, and what kind of file all others stand for."""

from indexer.photos.content import RAW_SUFFIXES

# Endings that stand for photos, in lower case: all that a decoder here reads, some of them with an extra.
SUFFIXES = RAW_SUFFIXES | frozenset(
    b".jpg .jpeg .jpe .jif .jfi .jfif .jps .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .avifs .heic .heics "
    b".heif .heifs .hif .jxl .jp2 .j2k .j2c .jpc .jpx .jpf .ppm .pgm .pbm .pnm .pfm .psd".split()
)

OTHER = "other"
# Kinds of files that are no photos, by their endings; `OTHER` has all endings that are not here.
ENDINGS_OF_KINDS = {
    "videos": b".mp4 .m4v .mov .avi .mkv .webm .wmv .flv .mpg .mpeg .mts .m2ts .3gp .3g2 .vob .ogv .insv .lrv .braw",
    "sounds": b".mp3 .m4a .wav .aac .flac .ogg .opus .amr .wma .aif .aiff .mid",
    "texts": b".txt .md .rst .rtf .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .log .html .htm .css .js .py .srt",
    "documents": b".pdf .doc .docx .odt .xls .xlsx .ods .ppt .pptx .odp .pages .numbers .key .epub .tex",
    "archives": b".zip .rar .7z .tar .gz .tgz .bz2 .xz .zst .iso .dmg",
    # What cameras and photo editors write beside a photo.
    "sidecars": b".xmp .aae .thm .pp3 .dop .arp .cos .on1 .nksc .vrd .dr4 .photo-edit",
    # Pictures that no decoder here reads.
    "pictures": b".svg .ai .eps .ps .ico .icns .cur .xcf .kra .psb .afphoto .hdr .exr .dds .tga .pcx .jxr .bpg",
}
KIND_OF_ENDING = {ending: kind for kind, endings in ENDINGS_OF_KINDS.items() for ending in endings.split()}


def kind_of_ending(ending: bytes) -> str:
    """Return the kind of a file that is no photo.

    Args:
        ending: The ending of its name in lower case, with the dot.
    """
    return KIND_OF_ENDING.get(ending, OTHER)

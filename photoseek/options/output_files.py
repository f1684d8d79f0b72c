"""Keep outputs of commands from replacing anything but older outputs of the same kind.

A command with an output is a `WritingCommand`, and its output is an `OutputFile` or an `OutputFolder`. Before the
command works, an output is refused if something is there that photoseek did not write as such an output. `--force`
replaces it all the same, but never a file that the command reads, what lies in a folder of photos, judged data or a
ranker that it names, or a photo that a camera took. Nothing is written into an index.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from indexer.errors import PhotoseekError
from indexer.printable import printable
from photoseek.options.judged_sets import JudgedSet
from photoseek.options.standard_options import with_home

# As QUERIES standard input, as an output standard output.
STANDARD = Path("-")
# Files by which an index and a ranker are recognised.
INDEX_FILES = "catalogue*.sqlite"
RANKER_FILE = "ranker.json"
# Of many endings that a file may have, a message names these first, and so many.
USUAL_ENDINGS = (".jpg", ".pdf", ".png", ".svg", ".tif", ".webp")
SHOWN_ENDINGS = 6


@dataclass(frozen=True, slots=True)
class OutputKind:
    """A kind of output. What it names is imported when it is needed, so that a help page imports nothing.

    Attributes:
        name: What it is called in a message.
        recogniser: "module:function" of the function that tells an older output of this kind by its path.
        endings: "module:function" of the function that returns the endings which its file may have; None if any may.
        checks_place: Whether what writes it refuses, in its own words, a folder or a place without one.
        refusal: How a message says that something else is there; None for the usual words.
    """

    name: str
    recogniser: str
    endings: str | None = None
    checks_place: bool = False
    refusal: str | None = None

    def is_at(self, path: Path) -> bool:
        """Return whether an older output of this kind, or an empty file, is at a path."""
        if path.is_file() and not path.stat().st_size:
            return True
        return bool(_imported(self.recogniser)(path))

    def refuses_ending(self, path: Path) -> str | None:
        """Return what to say of an ending that this output cannot have; None if it can."""
        allowed = () if self.endings is None else _imported(self.endings)()
        if not allowed or path.suffix.lower() in allowed:
            return None
        shown = sorted(allowed, key=lambda ending: (ending not in USUAL_ENDINGS, ending))[:SHOWN_ENDINGS]
        others = f" or {len(allowed) - len(shown)} others" if len(allowed) > len(shown) else ""
        return f"the ending must be one of {', '.join(shown)}{others}"


RESULTS = OutputKind("results file", "search.result_files:is_results", "search.result_files:result_suffixes")
SHEET = OutputKind("contact sheet", "search.contact_sheet:is_sheet", "search.contact_sheet:sheet_suffixes")
REPORT = OutputKind("report", "reranker.reports.page:is_report", checks_place=True)
PLOT = OutputKind("plot", "search.bench.plot_file:is_plot", "search.bench.plot_file:plot_suffixes")
TREC = OutputKind("folder of TREC files", "reranker.evaluation.run_files:is_trec_folder")
RANKER = OutputKind("ranker", "reranker.ranker_places:has_no_ranker", refusal="holds a ranker already")


class OutputFile(click.Path):
    """The path of a file that a command writes.

    Args:
        kind: What it writes.
        standard: Whether `-` stands for standard output.
    """

    def __init__(self, kind: OutputKind, standard: bool = False) -> None:
        super().__init__(path_type=Path)
        self.kind, self.standard = kind, standard

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path. Raises click.UsageError if no such output can be there, PhotoseekError without a home."""
        path = Path(os.fsdecode(super().convert(with_home(value), param, ctx)))
        if self.is_standard(path):
            return path
        problem = self.kind.refuses_ending(path)
        if not self.kind.checks_place and not path.parent.is_dir():
            problem = f"there is no folder {path.parent}"
        elif not self.kind.checks_place and path.is_dir():
            problem = f"it is a folder; give a file for the {self.kind.name}"
        if problem is not None:
            option = "" if param is None else f"{param.opts[0]} "
            raise click.UsageError(f"{option}{path}: {problem}", ctx)
        return path

    def is_standard(self, path: Path) -> bool:
        """Return whether a path stands for standard output."""
        return self.standard and path == STANDARD


class OutputFolder(click.Path):
    """The path of a folder that a command writes.

    Args:
        kind: What it writes.
    """

    def __init__(self, kind: OutputKind) -> None:
        super().__init__(path_type=Path)
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path. Raises PhotoseekError if it begins with `~` and there is no home directory."""
        return Path(os.fsdecode(super().convert(with_home(value), param, ctx)))

    def is_standard(self, _path: Path) -> bool:
        """Return False: no folder is written to standard output."""
        return False


class WritingCommand(click.Command):
    """A command with an output; it gets the option `--force`, and checks its outputs before it works."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        text = "Replace what an output names, unless it is read, lies among what is read, or a camera took it."
        self.params.append(click.Option(["--force"], is_flag=True, help=text))

    def invoke(self, ctx: click.Context) -> Any:
        """Check the outputs, then run the command. Raises PhotoseekError if an output may not be written."""
        force = ctx.params.pop("force")
        types = {param.name: param.type for param in self.params}
        inputs = _inputs(value for name, value in ctx.params.items() if not _is_output(types[name]))
        for param in self.params:
            path = ctx.params.get(param.name or "")
            if not isinstance(param.type, OutputFile | OutputFolder) or path is None or param.type.is_standard(path):
                continue
            check_no_index(param.opts[0], path, isinstance(param.type, OutputFolder))
            # What writes the output refuses a folder for a file, and a file for a folder, in its own words.
            if path.is_dir() is isinstance(param.type, OutputFolder):
                check_output(param.opts[0], path, param.type.kind, inputs, force)
        return super().invoke(ctx)


def check_output(option: str, path: Path, kind: OutputKind, inputs: Sequence[Path], force: bool) -> None:
    """Refuse an output that would replace anything but an older output of its kind.

    Args:
        option: The option that names the output.
        path: The output.
        kind: What is written.
        inputs: Files and folders that the command reads.
        force: Whether it may replace other files.

    Raises:
        PhotoseekError: Something is there that it may not replace.
    """
    if not path.exists():
        return
    shown = f"{option} {printable(os.fspath(path))}"
    if not (path.is_dir() or path.is_file()):
        raise PhotoseekError(f"{shown} is no regular file, so it cannot be replaced")
    is_input = any(_is_same(path, given) for given in inputs)
    if kind.is_at(path) and not is_input:
        return
    keeper = _keeper(path, inputs)
    if keeper is not None:
        raise PhotoseekError(f"{shown} lies in {printable(os.fspath(keeper))}, of which nothing is replaced")
    if path.is_file() and is_input:
        raise PhotoseekError(f"{shown} is read by this command, so it is not replaced; give another name")
    if path.is_file() and _is_camera_photo(path):
        raise PhotoseekError(f"{shown} is a photo that a camera took, so it is not replaced; give another name")
    if not force:
        what = kind.refusal or f"is there already and was not written as a {kind.name}"
        raise PhotoseekError(f"{shown} {what}; give another name, or --force to replace it")


def check_no_index(option: str, path: Path, is_folder: bool) -> None:
    """Refuse an output in an index, whose folder holds nothing else.

    Args:
        option: The option that names the output.
        path: The output.
        is_folder: Whether it is a folder, into which files are written.

    Raises:
        PhotoseekError: It lies in an index, or it is one.
    """
    resolved, folder = path.resolve(), path.parent.resolve()  # a link lies in one place and leads to another
    for place in (*([resolved] if is_folder else []), *resolved.parents, folder, *folder.parents):
        if any(place.glob(INDEX_FILES)):
            what = "is" if place == resolved else "lies in"
            raise PhotoseekError(f"{option} {printable(os.fspath(path))} {what} an index; nothing is written into one")


def _is_camera_photo(path: Path) -> bool:
    """Return whether a file says when, or with what camera, it was taken, as no output does."""
    from indexer.photos.metadata.reading import read_metadata

    known = read_metadata(os.fsencode(path))
    return known is not None and (known.camera is not None or known.taken is not None)


def _is_output(kind: click.ParamType) -> bool:
    return isinstance(kind, OutputFile | OutputFolder)


def _inputs(values: Iterable[object]) -> list[Path]:
    """Return the files and folders that values of options name, with the photo folders of an index among them."""
    found: list[Path] = []
    for value in values:
        if isinstance(value, tuple | list):
            found += _inputs(value)
        elif isinstance(value, JudgedSet):
            found.append(value.folder)
        elif isinstance(value, str | Path) and os.path.exists(value):
            found += [Path(value), *_roots_of(Path(value))]
    return found


def _roots_of(folder: Path) -> list[Path]:
    """Return the photo folders of an index; none if the folder is no index, or cannot be read, which its use says."""
    from indexer.storage import manifest
    from indexer.storage.generations import open_for_reading

    if not manifest.exists(folder):
        return []
    with suppress(PhotoseekError), closing(open_for_reading(folder)[1]) as catalogue:
        return [Path(os.fsdecode(root)) for root in catalogue.roots()]
    return []


def _keeper(path: Path, inputs: Sequence[Path]) -> Path | None:
    """Return the folder of which nothing may be replaced and that holds a path; None if there is none.

    Folders are told by what they are and not by their names, which may differ by links, letter case or Unicode form.
    """
    folders = [given for given in inputs if given.is_dir()]
    for place in (path.parent.resolve(), path.resolve().parent, path.resolve()):
        for above in (place, *place.parents):
            keeper = next((folder for folder in folders if _is_same(folder, above)), None)
            if keeper is not None and not (above / RANKER_FILE).is_file():
                return keeper
    return None


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two paths name one file or folder, however they are spelled."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _imported(name: str) -> Callable[..., Any]:
    """Return the function that "module:function" names."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found

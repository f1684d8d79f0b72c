"""Repair indexes of tiny photos as the command does, with an encoder that refuses to embed."""

from pathlib import Path

from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding
from indexer.index import Index
from indexer.verification.find_photos import find_photos
from indexer.verification.plan_repair import RepairPlan, plan_repair
from indexer.verification.rebuild_catalogue import RebuiltCatalogue, finish_rebuild, rebuild_catalogue
from indexer.verification.repair_rows import repair_rows
from indexer.verification.verify import VerifySettings, verify_index
from tiny_encoder import Refusing, TinyEncoder
from tiny_ranker import TinyRanker

RANKER = TinyRanker()
PHOTOS = {"a.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3}
LOST = ("the history of builds", "the notes on damaged photos")


def plan(folder: Path) -> RepairPlan:
    return plan_repair(folder, verify_index(folder, VerifySettings(lambda _folder: RANKER, None)))


def repair(folder: Path, encoder: TinyEncoder | None = None) -> RebuiltCatalogue | None:
    """Repair as the command does, with an encoder that refuses to embed by default."""
    encoder, made = encoder or Refusing(), None
    planned = plan(folder)
    if planned.manifest:
        planned.restore_manifest()
    if planned.catalogue:
        made = rebuild_catalogue(folder, planned.described, lambda _folder: RANKER)
    if planned.catalogue or planned.photos:
        find_photos(folder, planned.described, encoder, Decoding(workers=1), BuildCallbacks())
        planned = plan(folder)
    if planned.rows:
        repair_rows(folder, planned.rows, encoder, Decoding(workers=1), lambda *_: None)
    if planned.records:
        planned.renew_records()
    if planned.view:
        attach(folder)
    if planned.unfinished:
        finish_rebuild(folder, planned.described)
    return made


def attach(folder: Path) -> None:
    with Index.open(folder) as opened:
        opened.attach(RANKER, anew=True)


def is_whole(folder: Path) -> bool:
    result = verify_index(folder, VerifySettings(lambda _folder: RANKER, None))
    return result.is_whole and result.notes == []


def vectors(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*-1.[fi]*"))]


def lose(folder: Path) -> None:
    for path in folder.glob("catalogue.sqlite*"):
        path.unlink()


def zero(folder: Path) -> None:
    path = folder / "catalogue.sqlite"
    path.write_bytes(bytes(path.stat().st_size))

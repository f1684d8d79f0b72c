import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.embedding import pipeline
from indexer.embedding.pipeline import Decoding, embed_files
from indexer.errors import PhotoseekError
from indexer.photos import decode_pool as workers
from indexer.photos.decode import UnreadablePhotoError
from indexer.photos.found_files import PhotoFile, Skipped
from indexer.photos.known_digests import KnownDigests
from indexer.photos.metadata.record import NOTHING_SAID
from indexer.photos.perceptual_hash import perceptual_hash
from indexer.photos.retry import OTHER_DECODER
from indexer.photos.scan import walk
from indexer.photos.square_transform import SquareTransform
from indexer.storage.records import NewPhoto
from tiny_encoder import TinyEncoder

CHECKOUT = Path(__file__).parents[3]
TWO = Decoding(workers=2)

# A library that decodes camera RAW files, found before the real one in every worker: what the file says, it does.
DECODER = """
import os, signal, sys, time

class LibRawError(Exception):
    pass

class LibRawIOError(LibRawError):
    pass

class LibRawFileUnsupportedError(LibRawError):
    pass

def imread(file):
    order = file.read().decode()
    if order == "hang":
        open(__file__ + ".hangs", "w").close()
        time.sleep(1000)
    if order == "hang for good":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            pass
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "exit":
        os._exit(3)
    if order == "print":
        os.write(1, b"a library talks")
        os.write(2, b"a library complains")
    raise LibRawError(order.encode())
"""


@pytest.fixture
def raw_decoder(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("decoder")
    (folder / "rawpy.py").write_text(DECODER)
    monkeypatch.syspath_prepend(folder)


def grey(path: Path, value: int) -> None:
    """Return a photo of one grey; its vector is (v, v, v, 0.5) over its norm, with v = value / 255."""
    Image.new("RGB", (16, 12), (value, value, value)).save(path)


def vector(value: int) -> np.ndarray:
    v = value / 255
    return np.array([v, v, v, 0.5]) / np.sqrt(3 * v * v + 0.25)


def run(root: Path, decoding: Decoding = TWO, encoder=None, **options):
    files = [item for item in walk(root) if isinstance(item, PhotoFile)]
    return list(embed_files(os.fsencode(root), files, encoder or TinyEncoder(), decoding, **options))


def reasons(results) -> dict[str, str]:
    return {os.fsdecode(file.path): found.reason for file, found in results if isinstance(found, Skipped)}


def test_each_file_comes_with_what_it_is_and_its_own_vector(tmp_path):
    grey(tmp_path / "a.png", 51)
    [(file, found)] = run(tmp_path)
    assert file == PhotoFile(b"a.png", *((info := (tmp_path / "a.png").stat()).st_size, info.st_mtime_ns))
    known = {"metadata": NOTHING_SAID, "perceptual_hash": perceptual_hash(np.full((8, 8, 3), 51, np.uint8))}
    assert found.photo == NewPhoto(b"a.png", file.size, file.mtime_ns, found.photo.digest, 16, 12, **known)
    # 51 / 255 = 0.2; the norm of (0.2, 0.2, 0.2, 0.5) is sqrt(0.37)
    assert np.allclose(found.vector, np.array([0.2, 0.2, 0.2, 0.5]) / np.sqrt(0.37), atol=1e-6)
    assert found.regions is None


def test_order_is_kept_over_many_blocks_and_a_bad_file_does_not_shift_its_neighbours(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "BLOCK", 4)
    for number in range(30):
        grey(tmp_path / f"{number:02}.png", 8 * number)
    for number in (0, 5, 6, 7, 8, 9, 29):  # the first, the last, and a whole block
        (tmp_path / f"{number:02}.png").write_bytes(b"broken")
    results = run(tmp_path)
    assert [file.path for file, _ in results] == [b"%02d.png" % number for number in range(30)]
    for number, (_, found) in enumerate(results):
        if number in (0, 5, 6, 7, 8, 9, 29):
            assert found == Skipped(b"%02d.png" % number, "not an image, or of a kind that is not read")
        else:
            assert np.allclose(found.vector, vector(8 * number), atol=1e-6)


def test_no_files_give_nothing_and_start_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert run(tmp_path) == []


def test_a_photo_that_hangs_is_ended_at_the_deadline_and_the_rest_goes_on(tmp_path, raw_decoder):
    grey(tmp_path / "1.png", 51)
    (tmp_path / "2.dng").write_text("hang")
    (tmp_path / "3.nef").write_text("hang for good")
    grey(tmp_path / "4.png", 102)
    results = run(tmp_path, Decoding(workers=1, deadline=1.5))
    ended = "decoding took over 1.5 s and was ended (--deadline changes it)"
    assert reasons(results) == {"2.dng": ended, "3.nef": ended}
    assert [result.retry for _, result in results[1:3]] == ["seconds 1.5"] * 2
    assert np.allclose([results[0][1].vector, results[3][1].vector], [vector(51), vector(102)], atol=1e-6)


def test_a_photo_that_kills_its_process_is_listed_and_the_rest_goes_on(tmp_path, raw_decoder):
    grey(tmp_path / "1.png", 51)
    (tmp_path / "2.dng").write_text("kill")
    (tmp_path / "3.dng").write_text("exit")
    grey(tmp_path / "4.png", 102)
    (tmp_path / "5.dng").write_text("only odd")
    results = run(tmp_path, Decoding(workers=1))
    assert reasons(results) == {
        "2.dng": "decoding killed its process (exit code -9)",
        "3.dng": "decoding killed its process (exit code 3)",
        "5.dng": "damaged camera RAW (only odd)",
    }
    # The system kills what takes too much memory, which may be another time's.
    retries = {"2.dng": "always", "3.dng": OTHER_DECODER, "5.dng": OTHER_DECODER}
    assert {os.fsdecode(file.path): found.retry for file, found in results if isinstance(found, Skipped)} == retries
    assert np.allclose([results[0][1].vector, results[3][1].vector], [vector(51), vector(102)], atol=1e-6)


def test_a_file_that_takes_too_long_to_read_is_tried_again(tmp_path, raw_decoder):
    (tmp_path / "1.dng").write_text("hang")
    with closing(workers.DecodeWorkers(1, SquareTransform(8), 10**6, 1.0)) as pool:
        pool._workers[0]._is_read = np.zeros(1, bool)  # as if it hung on a disk
        with pytest.raises(UnreadablePhotoError) as slow:
            pool.schedule(os.fsencode(tmp_path / "1.dng")).result()
    assert str(slow.value) == "reading took over 1 s and was ended (--deadline changes it)"
    assert slow.value.retry == "always"


def test_the_slowest_file_so_far_is_told(tmp_path, raw_decoder):
    grey(tmp_path / "1.png", 51)
    (tmp_path / "2.dng").write_text("hang")
    told = []
    run(tmp_path, Decoding(workers=1, deadline=1.5), on_slowest=lambda path, seconds: told.append((path, seconds)))
    assert [os.path.basename(path) for path, _ in told][-1] == b"2.dng"
    assert [seconds for _, seconds in told] == sorted(seconds for _, seconds in told)
    assert told[-1][1] >= 1.5


def test_what_a_decoding_library_prints_is_not_heard(tmp_path, raw_decoder, capfd):
    (tmp_path / "1.dng").write_text("print")
    assert reasons(run(tmp_path)) == {"1.dng": "damaged camera RAW (print)"}
    assert capfd.readouterr() == ("", "")


def test_a_file_that_became_a_pipe_meanwhile_is_not_waited_for(tmp_path):
    grey(tmp_path / "a.png", 51)
    files = list(walk(tmp_path))
    (tmp_path / "a.png").unlink()
    os.mkfifo(tmp_path / "a.png")
    results = list(embed_files(os.fsencode(tmp_path), files, TinyEncoder(), TWO))
    assert reasons(results) == {"a.png": "not a regular file"}


def test_a_file_over_the_limit_of_pixels_is_skipped(tmp_path):
    grey(tmp_path / "a.png", 51)
    reason = "16 x 12 is 192 pixels, over the limit of 191 (--max-pixels changes it)"
    assert reasons(run(tmp_path, Decoding(workers=1, max_pixels=191))) == {"a.png": reason}


def test_huge_photos_wait_for_memory_and_are_embedded_all_the_same(tmp_path, monkeypatch):
    taken, most = [0], []

    class Watched(workers.MemoryShare):
        @contextmanager
        def taken(self, wanted):
            with super().taken(wanted):
                taken[0] += wanted
                most.append(taken[0])
                yield
                taken[0] -= wanted

    monkeypatch.setattr(workers, "MemoryShare", Watched)
    monkeypatch.setattr(workers, "shared_bytes", lambda: 300_000_000)
    for name in ("1", "2", "3"):  # 100 MB as stored, as much as RGB, and some to work in
        Image.new("RGBA", (5000, 5000), (51, 51, 51, 255)).save(tmp_path / f"{name}.png", compress_level=1)
    grey(tmp_path / "4.png", 51)
    results = run(tmp_path)
    assert [np.allclose(result.vector, vector(51), atol=1e-6) for _, result in results] == [True] * 4
    assert 200_000_000 < max(most) < 300_000_000
    assert sum(value > 0 for value in most) >= 3


def test_no_more_than_two_blocks_are_read_ahead_of_what_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "BLOCK", 4)
    grey(tmp_path / "a.png", 51)
    [file] = walk(tmp_path)
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield file

    results = embed_files(os.fsencode(tmp_path), endless(), TinyEncoder(), TWO)
    for block in range(5):
        for _ in range(4):
            next(results)
        # This block of 4 is decoded; behind it wait 2 * 4 - 1 more.
        assert taken == 4 * (block + 1) + 7
    results.close()


def test_a_photo_whose_bytes_are_known_is_not_embedded_again(tmp_path):
    grey(tmp_path / "known.png", 51)
    grey(tmp_path / "new.png", 102)
    known = run(tmp_path)[0][1].photo
    (_, same), (_, new) = run(tmp_path, known=KnownDigests(lambda digest: digest == known.digest))
    assert (same.photo, same.vector, same.regions) == (known, None, None)
    assert np.allclose(new.vector, vector(102), atol=1e-6)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_photo_that_passes_the_coarse_sieve_is_decoded_only_if_the_fine_one_says_so(tmp_path, is_known):
    for value in (51, 102, 153):
        grey(tmp_path / f"{value:03}.png", value)
    whole = [result.photo for _, result in run(tmp_path)]
    beginnings = np.array([int.from_bytes(whole[1].digest[:8], "big")], np.uint64)
    first, second, third = (result for _, result in run(tmp_path, known=KnownDigests(lambda _: is_known, beginnings)))
    assert second.photo == (replace(whole[1], width=0, height=0, perceptual_hash=None) if is_known else whole[1])
    assert (second.vector is None) is is_known
    for result, value in () if is_known else ((first, 51), (second, 102), (third, 153)):
        assert np.allclose(result.vector, vector(value), atol=1e-6)


@dataclass(frozen=True)
class Failing(TinyEncoder):
    """Gives what is asked for instead of the vector of a black photo."""

    bad: tuple = ()

    def encode(self, images: np.ndarray) -> np.ndarray:
        rows = super().encode(images)
        rows[images.max(axis=(1, 2, 3)) == 0] = self.bad
        return rows


@pytest.mark.parametrize("bad", [(0, 0, 0, 0), (np.nan, 1, 0, 0), (np.inf, 0, 0, 0), (0, 0, 1e9, 0)])
def test_a_vector_that_is_no_vector_costs_its_photo_only(tmp_path, bad):
    for name, value in (("a", 51), ("b", 0), ("c", 102)):
        grey(tmp_path / f"{name}.png", value)
    results = run(tmp_path, encoder=Failing(bad=bad))
    assert reasons(results) == {"b.png": "encoder tiny gave a vector of zeros, NaN or infinity"}
    assert np.allclose([results[0][1].vector, results[2][1].vector], [vector(51), vector(102)], atol=1e-6)


def test_a_mistake_of_ours_is_no_skipped_photo(tmp_path):
    grey(tmp_path / "a.png", 51)
    with pytest.raises(KeyError) as mistake:
        run(tmp_path, encoder=TinyEncoder(transform=SquareTransform(8, filter="bilinaer")))
    assert mistake.value.args == ("BILINAER",)
    assert mistake.value.__notes__[0].startswith("in a decoding process:\nTraceback")


def test_workers_that_cannot_start_are_named_once(tmp_path, monkeypatch):
    grey(tmp_path / "a.png", 51)
    monkeypatch.setattr(workers, "START", "import sys; sys.exit(7)")
    with pytest.raises(PhotoseekError) as refusal:
        run(tmp_path)
    assert str(refusal.value) == "a decoding process could not be started (exit code 7)"


# What becomes of the processes


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_processes_end_with_the_iterator_even_if_one_hangs(tmp_path, raw_decoder, monkeypatch):
    monkeypatch.setattr(pipeline, "BLOCK", 1)
    started = []

    class Watched(subprocess.Popen):
        def __init__(self, *values, **options):
            super().__init__(*values, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    grey(tmp_path / "1.png", 51)
    (tmp_path / "2.dng").write_text("hang")
    results = embed_files(os.fsencode(tmp_path), list(walk(tmp_path)), TinyEncoder(), TWO)
    assert next(results)[0].path == b"1.png"
    results.close()
    assert started
    assert [process.returncode for process in started] == [-signal.SIGKILL] * len(started)


PARENT = """if True:
    import os, sys, threading, time
    sys.path.insert(0, sys.argv[2])
    from indexer.photos.square_transform import SquareTransform
    from indexer.photos import decode_pool as workers
    workers.GRACE = 0.0
    pool = workers.DecodeWorkers(2, SquareTransform(8), 10**6, float(sys.argv[3]))
    for name in sorted(os.listdir(sys.argv[1])):
        pool.schedule(os.fsencode(os.path.join(sys.argv[1], name)))
    while not os.path.exists(sys.argv[2] + "/rawpy.py.hangs"):
        time.sleep(0.01)
    print(*[worker._process.pid for worker in pool._workers], flush=True)
    time.sleep(1000)
"""


def test_workers_end_when_their_parent_is_killed_and_a_hanging_one_after_its_deadline(tmp_path):
    photos, decoder = tmp_path / "photos", tmp_path / "decoder"
    photos.mkdir()
    decoder.mkdir()
    (decoder / "rawpy.py").write_text(DECODER)
    (photos / "1.dng").write_text("hang")
    grey(photos / "2.png", 51)
    command = [sys.executable, "-c", PARENT, photos, decoder, "2"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    until = time.monotonic() + 60
    while any(map(is_alive, pids)):
        assert time.monotonic() < until, "a worker outlived its parent"
        time.sleep(0.05)


SCRIPT = """
import sys
sys.path[:0] = sys.argv[2:]
print("begin")
from tiny_encoder import TinyEncoder
from indexer.index import Index
index = Index.build(sys.argv[1] + "/photos", sys.argv[1] + "/index", encoder=TinyEncoder())
print(index.rows, "rows")
"""


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_script_without_a_main_guard_runs_once(tmp_path, way):
    (tmp_path / "photos").mkdir()
    for number in range(4):
        grey(tmp_path / f"photos/{number}.png", 60 * number)
    (tmp_path / "script.py").write_text(SCRIPT)
    start = {"file": str(tmp_path / "script.py"), "stdin": "-"}[way]
    command = [sys.executable, start, tmp_path, CHECKOUT, CHECKOUT / "tests" / "support"]
    done = subprocess.run(command, input=SCRIPT if way == "stdin" else "", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "begin\n4 rows\n", "")

"""Watch the system calls by which a child process changes files; let each happen, fail it, or kill the process before.

    fork -> the parent attaches -> the child installs a filter -> the child works, and stops before each call -> decide

The filter (seccomp) stops the process at calls that change files alone, in all its threads, so that all else runs as
fast as ever. It needs no compiler and no rights, but Linux on x86-64.
"""

import ctypes
import os
import platform
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import PhotoseekError

# Numbers of calls on x86-64, from Linux's arch/x86/entry/syscalls/syscall_64.tbl.
DESCRIPTOR_CALLS = {1: "write", 18: "pwrite64", 20: "writev", 40: "sendfile", 74: "fsync", 75: "fdatasync"}
DESCRIPTOR_CALLS |= {77: "ftruncate", 285: "fallocate", 296: "pwritev", 326: "copy_file_range"}
PATH_CALLS = {2: "open", 76: "truncate", 82: "rename", 83: "mkdir", 84: "rmdir", 85: "creat", 86: "link", 87: "unlink"}
FOLDER_CALLS = {257: "openat", 258: "mkdirat", 263: "unlinkat", 264: "renameat", 316: "renameat2"}
RENAMES = ("rename", "renameat", "renameat2")

# Of linux/ptrace.h.
_CONT, _GETREGS, _SETREGS, _SEIZE = 7, 12, 13, 0x4206
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
# Follow new threads and processes, stop where the filter says so, and end the child if this process ends.
_OPTIONS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << _EVENT_SECCOMP | 1 << 20
_WALL = 0x40000000
# Of linux/prctl.h, linux/seccomp.h and linux/audit.h.
_SET_SECCOMP, _NO_NEW_PRIVILEGES, _MODE_FILTER = 22, 38, 2
_RETURN_TRACE, _RETURN_ALLOW, _ARCHITECTURE = 0x7FF00000, 0x7FFF0000, 0xC000003E
_AT_FDCWD, _AT_REMOVEDIR = -100, 0x200
# The registers of a stopped thread, sys/user.h.
_REGISTERS = struct.Struct("<27Q")
_RAX, _RDX, _RSI, _RDI, _ORIG_RAX, _R10, _R8 = 10, 12, 13, 14, 15, 7, 9

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long

# What `decide` may return beside the number of an error.
HAPPEN, KILL = 0, -1
MARK = "mark"


@dataclass(frozen=True, slots=True)
class Call:
    """Description of a call that is about to happen.

    Attributes:
        name: What it does: "write", "fsync", "truncate", "create", "rename", "unlink", "mkdir", "rmdir", or the name of
            a call that is none of these; "mark" for a mark that the child set.
        path: The file or folder, absolute.
        target: The new name of what is renamed, else "".
        offset: Where it writes, or the new length of the file.
        data: What it writes.
    """

    name: str
    path: str
    target: str = ""
    offset: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        """Return the call in a few words, for messages."""
        return f"{self.name} of {os.path.basename(self.path)}"


@dataclass(frozen=True, slots=True)
class Ending:
    """End of a child.

    Attributes:
        said: What its work returned; the line of a PhotoseekError; the traceback of any other exception.
        kind: "done", "refused", "traceback" or "killed".
    """

    kind: str
    said: str


Decide = Callable[[Call], int]
Mark = Callable[[], None]


def watch(work: Callable[[Mark], str], folder: Path, decide: Decide) -> Ending:
    """Run work in a forked child, and decide before each call by which it changes something below a folder.

    Args:
        work: What the child does; it may call its argument to set marks between its calls.
        folder: What is watched.
        decide: Returns `HAPPEN`, `KILL`, or the number of the error that the call fails with.

    Returns:
        How the child ended.

    Raises:
        OSError: This machine is no Linux on x86-64, or forbids it.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise OSError("system calls can be watched on Linux on x86-64 only")
    start_read, start_write = os.pipe()
    report_read, report_write = os.pipe()
    mark_read, mark_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(start_read, 1)
        _run_child(work, report_write, lambda: _mark(mark_write))
    try:
        _ptrace(_SEIZE, child, 0, _OPTIONS)
        os.write(start_write, b"s")
        os.close(report_write)
        _Tracer(child, os.fspath(folder.absolute()), os.readlink(f"/proc/self/fd/{mark_write}"), decide).run()
        report = b"".join(iter(lambda: os.read(report_read, 65536), b""))
    finally:
        with suppress(OSError):
            os.close(report_write)
        for descriptor in (start_read, start_write, report_read, mark_read, mark_write):
            os.close(descriptor)
    kind, _, said = report.decode().partition("\n")
    return Ending(kind or "killed", said)


def _mark(descriptor: int) -> None:
    os.write(descriptor, b"m")


def _run_child(work: Callable[[Mark], str], report: int, mark: Mark) -> None:
    """Work, say how it ended, and end at once: nothing that the parent left to be done at the end is done here."""
    try:
        _install_filter()
        kind, said = "done", work(mark)
    except PhotoseekError as error:
        kind, said = ("refused", str(error)) if "\n" not in str(error) else ("traceback", f"two lines: {error}")
    except BaseException:
        kind, said = "traceback", traceback.format_exc()
    os.write(report, f"{kind}\n{said}"[:60_000].encode(errors="replace"))
    os._exit(0)


def _install_filter() -> None:
    """Make the calls that change files stop for the tracer, in this thread and in all that it starts."""
    numbers = [*DESCRIPTOR_CALLS, *PATH_CALLS, *FOLDER_CALLS]
    # A program of the kernel's filter machine: the architecture, then the number of the call, at bytes 4 and 0.
    program = [(0x20, 0, 0, 4), (0x15, 0, len(numbers) + 1, _ARCHITECTURE), (0x20, 0, 0, 0)]
    program += [(0x15, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    program += [(0x06, 0, 0, _RETURN_ALLOW), (0x06, 0, 0, _RETURN_TRACE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(struct.pack("<H6xQ", len(program), ctypes.addressof(code)))
    zero = ctypes.c_ulong(0)
    for option, value, pointer in ((_NO_NEW_PRIVILEGES, 1, zero), (_SET_SECCOMP, _MODE_FILTER, ctypes.byref(header))):
        if _libc.prctl(option, ctypes.c_ulong(value), pointer, zero, zero):
            raise OSError(ctypes.get_errno(), "the filter of system calls was refused")


def _ptrace(request: int, thread: int, address: int, data: object) -> None:
    if _libc.ptrace(request, thread, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")


@dataclass(slots=True)
class _Tracer:
    """The parent's side of a watched child."""

    child: int
    folder: str
    mark_pipe: str
    decide: Decide

    def run(self) -> None:
        """Let the child run until it has ended."""
        try:
            while True:
                thread, status = os.waitpid(-1, _WALL)
                if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                    if thread == self.child:
                        return
                    continue
                event, number = status >> 16, os.WSTOPSIG(status)
                is_signal = event == 0 and number != signal.SIGTRAP
                if event != _EVENT_SECCOMP or self._is_continued(thread):
                    with suppress(ProcessLookupError):  # it was killed in the meantime
                        _ptrace(_CONT, thread, 0, number if is_signal else 0)
        except BaseException:
            os.kill(self.child, signal.SIGKILL)
            raise

    def _is_continued(self, thread: int) -> bool:
        """Decide what becomes of the call that a thread is about to make; return whether the thread lives."""
        buffer = ctypes.create_string_buffer(_REGISTERS.size)
        _ptrace(_GETREGS, thread, 0, ctypes.addressof(buffer))
        registers = list(_REGISTERS.unpack(buffer.raw))
        call = _Reader(thread, registers, self.mark_pipe).call()
        if call is None or (call.name != MARK and not self._is_watched(call)):
            return True
        decision = self.decide(call)
        if decision == KILL:
            os.kill(self.child, signal.SIGKILL)
            return False
        if decision != HAPPEN:
            registers[_ORIG_RAX], registers[_RAX] = 2**64 - 1, 2**64 - decision
            buffer = ctypes.create_string_buffer(_REGISTERS.pack(*registers))
            _ptrace(_SETREGS, thread, 0, ctypes.addressof(buffer))
        return True

    def _is_watched(self, call: Call) -> bool:
        """Return whether a call concerns the watched folder."""
        return any(f"{path}/".startswith(f"{self.folder}/") for path in (call.path, call.target))


@dataclass(slots=True)
class _Reader:
    """A stopped thread, and the call that it is about to make."""

    thread: int
    registers: list[int]
    mark_pipe: str

    def call(self) -> Call | None:
        """Return the call, None if it changes no file."""
        number = self.registers[_ORIG_RAX]
        one, two, three, four = (self.registers[place] for place in (_RDI, _RSI, _RDX, _R10))
        if number in DESCRIPTOR_CALLS:
            # The third of these three is the only one whose target is its second argument.
            return self._of_descriptor(DESCRIPTOR_CALLS[number], three if number == 326 else one, two, three, four)
        if number in PATH_CALLS:
            name, here = PATH_CALLS[number], _AT_FDCWD
            if name in RENAMES:
                return Call("rename", self._path(here, one), self._path(here, two))
            return self._of_path(name, self._path(here, one), two)
        name, folder = FOLDER_CALLS[number], ctypes.c_int(one & 0xFFFFFFFF).value
        if name in RENAMES:
            return Call("rename", self._path(folder, two), self._path(ctypes.c_int(three & 0xFFFFFFFF).value, four))
        if name == "unlinkat" and three & _AT_REMOVEDIR:
            name = "rmdir"
        return self._of_path(name, self._path(folder, two), three)

    def _of_path(self, name: str, path: str, flags: int) -> Call | None:
        name = name.removesuffix("at")
        if name == "truncate":
            return Call("truncate", path, offset=flags)
        if name in ("open", "creat"):
            if not os.path.lexists(path):
                return Call("create", path) if name == "creat" or flags & os.O_CREAT else None
            return Call("truncate", path) if name == "creat" or flags & os.O_TRUNC else None
        return Call(name, path)

    def _of_descriptor(self, name: str, descriptor: int, two: int, three: int, four: int) -> Call | None:
        try:
            path = os.readlink(f"/proc/{self.thread}/fd/{descriptor}")
        except OSError:  # no descriptor at all: the call fails by itself
            return None
        if path == self.mark_pipe:
            return Call(MARK, path)
        if not path.startswith("/") or path.endswith(" (deleted)"):
            return None
        if name in ("fsync", "fdatasync"):
            return Call("fsync", path)
        if name == "ftruncate":
            return Call("truncate", path, offset=two)
        if name == "pwrite64":
            return Call("write", path, offset=four, data=self._memory(two, three))
        if name == "write":
            return Call("write", path, offset=self._position(descriptor, path), data=self._memory(two, three))
        return Call(name, path)

    def _position(self, descriptor: int, path: str) -> int:
        """Return where the next write to a descriptor goes."""
        with open(f"/proc/{self.thread}/fdinfo/{descriptor}") as file:
            values = dict(line.split(":", 1) for line in file if ":" in line)
        return os.path.getsize(path) if int(values["flags"], 8) & os.O_APPEND else int(values["pos"])

    def _path(self, folder: int, address: int) -> str:
        """Return the absolute path that a thread names."""
        name = os.fsdecode(self._text(address))
        base = f"/proc/{self.thread}/cwd" if folder == _AT_FDCWD else f"/proc/{self.thread}/fd/{folder}"
        return name if name.startswith("/") else os.path.normpath(os.path.join(os.readlink(base), name))

    def _text(self, address: int) -> bytes:
        """Read a text that ends with a zero, page by page: the page behind it may not be there."""
        text = b""
        while b"\0" not in text:
            text += self._memory(address + len(text), 4096 - (address + len(text)) % 4096)
        return text.partition(b"\0")[0]

    def _memory(self, address: int, size: int) -> bytes:
        memory = os.open(f"/proc/{self.thread}/mem", os.O_RDONLY)
        try:
            return os.pread(memory, size, address)
        finally:
            os.close(memory)

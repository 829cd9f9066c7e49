"""The ledger's file among other files: made private, known again, moved aside when it is damaged."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import TypeAlias

from otel_aicost.errors import LedgerError
from otel_aicost.ledger import schema

Identity: TypeAlias = tuple[int, int]
"""Device and inode: two names of one file have the same, a new file under an old name has another."""

NETWORK_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.ceph", "lustre", "glusterfs"}
    | {"fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "gpfs", "beegfs", "orangefs"}
)
COMPANIONS = ("-wal", "-shm", "-journal")

_HEADER = b"SQLite format 3\0"
_MARK = slice(68, 72)
_LOOK_AT = 65_536


def prepare(path: Path) -> None:
    """Make the missing directories (mode 0700) and the empty file (0600), whatever the umask allows."""
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        try:
            parent.mkdir(mode=0o700)
        except FileExistsError:
            continue  # another process was faster
    try:
        # An existing file is not opened: closing it again would release every lock this process holds on it.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    os.close(descriptor)


def identity(path: Path | str) -> Identity | None:
    """Which file is there now; `None` if none is."""
    try:
        status = os.stat(path)  # noqa: PTH116 - asked before every write; half the time of `Path.stat`, for a string a quarter
    except OSError:
        return None
    return status.st_dev, status.st_ino


def on_network(path: Path, mounts: str | None = None) -> bool:
    """Whether `path` lies on a network filesystem, by the text of `/proc/self/mountinfo` (Linux)."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
    here, best, kind = os.path.realpath(path), "", ""
    for line in mounts.splitlines():
        place, _, filesystem = line.partition(" - ")
        point = place.split()[4].replace("\\040", " ")
        inside = here == point or here.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, filesystem.split()[0]
    return kind in NETWORK_FILESYSTEMS


def set_aside(path: Path, damaged: Identity) -> Path | None:
    """Rename a damaged ledger and its companions to `NAME.corrupt-<UTC time>`; nothing is ever deleted.

    Returns the new name, or `None` when another process has done it already. Raises `LedgerError` while
    another process is at it, and when the file was never a ledger.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"{path} is damaged, and another process is moving it aside"
            raise LedgerError(msg) from error
        if identity(path) != damaged:
            return None
        if not _was_a_ledger(path):
            msg = f"{path} is no ledger and is left as it is; set OTEL_AICOST_LEDGER to a file of its own"
            raise LedgerError(msg)
        aside = _free_name(path)
        for companion in (*COMPANIONS, ""):
            if Path(f"{path}{companion}").exists():
                Path(f"{path}{companion}").rename(f"{aside}{companion}")
    finally:
        os.close(directory)
    return aside


def _was_a_ledger(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_LOOK_AT)
    if len(head) < _MARK.stop:
        return _HEADER.startswith(head[: len(_HEADER)])
    marked = head[_MARK] == schema.APPLICATION_ID.to_bytes(4, "big")
    return marked or b"cache_write_tokens" in head or not head.strip(b"\0")


def _free_name(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name, number = Path(f"{path}.corrupt-{stamp}"), 1
    while name.exists():
        number += 1
        name = Path(f"{path}.corrupt-{stamp}-{number}")
    return name

"""Files that are either complete or absent."""

import os
from contextlib import suppress
from pathlib import Path


def write_atomically(
    path: Path, content: bytes | memoryview | str, *, sync: bool = False, previous: str | None = None
) -> Path:
    """Write a file under a temporary name and rename it, so that no reader sees a part of it; return its path.

    Where the path is a symbolic link, the file that it leads to is replaced, and not the link.

    Args:
        path: the file; its folder must exist.
        content: bytes, or text that is written as UTF-8.
        sync: whether the file and its new name are flushed to the disk, so that they survive a crash of the machine.
        previous: name, in the same folder, that the replaced file gets; None removes the replaced file.

    Raises:
        OSError: the file cannot be written, for example because the disk is full. It names the path, and the files that
            were there before are unchanged.
    """
    target = path.resolve()
    part = target.with_name(f"{target.name}.{os.getpid()}.part")  # of this process alone: others may write this file
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        if previous and target.exists():
            target.replace(target.with_name(previous))
        part.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # after a rename there is none
            part.unlink()
    if sync:
        folder = os.open(target.parent, os.O_RDONLY)
        os.fsync(folder)  # flushes the new names
        os.close(folder)
    return path

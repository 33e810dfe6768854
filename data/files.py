"""Files of a corpus: listed in a folder or a zip archive, and decompressed into the cache."""

import bz2
import gzip
import hashlib
import logging
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import datasets
import pyarrow as pa

from errors import UserError

logger = logging.getLogger(__name__)


def open_zstd(path: Path) -> Any:
    """Open a .zst file by PyArrow, which `datasets` depends on; the standard library reads the format from 3.14 on."""
    return pa.input_stream(str(path), compression="zstd")


# Functions that open a compressed file for reading, by ending.
DECOMPRESSORS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": open_zstd,
}


class CorpusFile(NamedTuple):
    """A file of a corpus, compressed or not.

    path: the file.
    name: the path in messages; that of a file in a zip archive begins with the archive's.
    """

    path: Path
    name: str

    @property
    def plain_name(self) -> str:
        """Name without folders and without the ending of a compression: `train.fr` for `train.fr.gz`."""
        return self.path.stem if self.path.suffix in DECOMPRESSORS else self.path.name

    @property
    def ending(self) -> str:
        """Ending without that of a compression: `.fr` for `train.fr.gz`."""
        return PurePath(self.plain_name).suffix

    @property
    def stem(self) -> str:
        """Name without any ending: `train` for `train.fr.gz`."""
        return PurePath(self.plain_name).stem

    def unpack(self) -> Path:
        """Return the path of the file or, if it is compressed, of a decompressed copy in the cache.

        Neither several processes nor a resumed stream could start in the middle of a compressed file.

        Raises:
            UserError: if the file is corrupt.
        """
        if self.path.suffix not in DECOMPRESSORS:
            return self.path

        def decompress(folder: Path) -> None:
            open_packed = DECOMPRESSORS[self.path.suffix]
            try:
                with open_packed(self.path) as packed, (folder / self.plain_name).open("wb") as plain:
                    shutil.copyfileobj(packed, plain)
            except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
                if isinstance(error, OSError) and error.errno is not None:  # of the file system, not of the content
                    raise
                raise UserError(f"{self.name} cannot be decompressed: {' '.join(str(error).split())}") from error

        return in_cache(self.path, decompress) / self.plain_name


def list_files(folder: Path, name: str, *, recursive: bool) -> list[CorpusFile]:
    """Return the files of a folder, sorted; names that begin with `.` or `_` are left out.

    Args:
        folder: the folder.
        name: the folder in messages.
        recursive: whether those of its subfolders are included.
    """
    found = []
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith((".", "_")) for part in inside.parts):
            found.append(CorpusFile(path, str(PurePath(name) / inside)))
    return found


def unzip(path: Path) -> Path:
    """Return a folder in the cache with the content of a zip archive, without the folders around it.

    Raises:
        UserError: if the archive is corrupt or encrypted.
    """

    def extract(folder: Path) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        except (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError) as error:
            raise UserError(f"{path} cannot be unpacked: {error}") from error

    folder = in_cache(path, extract)
    while True:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "_"))]
        if len(entries) != 1 or not entries[0].is_dir():
            return folder
        folder = entries[0]


def in_cache(source: Path, unpack: Callable[[Path], None]) -> Path:
    """Return a folder of the cache with what `unpack` writes into it; it is written once for each state of `source`.

    Args:
        source: the packed file.
        unpack: writes the content into the folder that it is given.
    """
    status = source.stat()
    state = f"{source.resolve()} {status.st_size} {status.st_mtime_ns}"
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "unpacked" / hashlib.sha256(state.encode()).hexdigest()
    if not folder.exists():
        logger.info(f"unpacking {source} into the cache")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as unfinished:
            content = Path(unfinished) / "content"
            content.mkdir()
            unpack(content)
            try:
                content.rename(folder)
            except OSError:
                if not folder.exists():  # otherwise another process has unpacked the same file meanwhile
                    raise
    return folder

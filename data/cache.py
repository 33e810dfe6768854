"""Keys of what the cache of `datasets` holds."""

import hashlib
from pathlib import Path


def code_stamp(folder: Path = Path(__file__).parent) -> str:
    """Return a hash of the preprocessing code, part of each cache key, so that a change invalidates the cache.

    Args:
        folder: package whose Python files are hashed, those of its subpackages included.
    """
    files = sorted(folder.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

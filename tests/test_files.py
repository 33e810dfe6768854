"""Claims about files that programs write: complete or absent, and nothing else is replaced."""

import errno
import os
from pathlib import Path

import pytest

from errors import UserError, one_sentence
from files import write_atomically
from translation.flags import check_output


@pytest.mark.parametrize("sync", [False, True])
def test_text_and_bytes_are_written_and_nothing_is_left_beside_them(tmp_path: Path, sync: bool) -> None:
    assert write_atomically(tmp_path / "text", "été\r\n", sync=sync) == tmp_path / "text"
    write_atomically(tmp_path / "bytes", memoryview(b"\xff"), sync=sync)
    assert (tmp_path / "text").read_bytes() == "été\r\n".encode() and (tmp_path / "bytes").read_bytes() == b"\xff"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bytes", "text"]


def test_the_replaced_file_gets_the_name_of_the_previous_one(tmp_path: Path) -> None:
    for content in "abc":
        write_atomically(tmp_path / "last", content, previous="previous")
    assert (tmp_path / "last").read_text() == "c" and (tmp_path / "previous").read_text() == "b"


def test_a_symbolic_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    for content in ("new", "newer"):  # the file that the link leads to is missing at first
        write_atomically(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "file").read_text() == content


def test_a_file_that_cannot_be_written_is_unchanged_and_named_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as `write` does, without the name of a file

    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    for failing in (path, tmp_path / "absent" / "file", path / "file"):
        with pytest.raises(SystemExit) as stopped, one_sentence():
            write_atomically(failing, "new", sync=True)
        error = capsys.readouterr().err
        assert stopped.value.code == 2 and error.startswith(f"error: {failing}: ") and error.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["file"] and path.read_text() == "old"


def test_an_output_that_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # stands for a device such as /dev/null
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for name, words in (("pipe", "no regular file"), ("link", "no regular file"), (".", "is a folder")):
        with pytest.raises(UserError, match=words):
            check_output("--output", tmp_path / name)
    for name in ("file", "absent"):
        check_output("--output", tmp_path / name)

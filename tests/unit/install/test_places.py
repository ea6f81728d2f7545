"""Whose file it is that an install reads and writes, in a folder whose owner exchanges names at any moment."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agi_monitor.errors import InstallFailed
from agi_monitor.files.folder import ACCESS_LIST, Folder, Unfit
from agi_monitor.install.journal import Journal
from agi_monitor.install.places import Places
from agi_monitor.install.plan import Change

STRANGER = 61_234
SECRET = b"; 8d2f-of-root-alone\n"
HOST = "extensions.conf"


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """As the system writes it: kind, permissions, number."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFF_FFFF
LISTED = access_list((1, 6, NOBODY), (2, 4, STRANGER), (4, 0, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY))
"""The owner reads and writes, one more user reads, the group does not."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Asterisk's folder with a file, and books beside."""
    path = tmp_path / "asterisk"
    path.mkdir()
    (path / HOST).write_bytes(b"old\n")
    (tmp_path / "books").mkdir(0o700)
    return path


@pytest.fixture
def places(site: Path) -> Iterator[Places]:
    """Both, open."""
    with Folder.at(site) as folder, Folder.at(site.with_name("books")) as books, Places(folder, books) as found:
        yield found


def test_content_and_rights_are_of_one_file(site: Path, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of root's that takes the name whenever it is opened, and only then, is not readable for more people."""
    secret = site / "backup.conf"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    (site / HOST).chmod(0o644)
    if os.geteuid() == 0:
        os.chown(site / HOST, STRANGER, STRANGER)
        places.site.uid = STRANGER
    real = os.open

    def exchange() -> None:
        (site / HOST).rename(site / "x")
        secret.rename(site / HOST)
        (site / "x").rename(secret)

    def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path != HOST:
            return real(path, flags, mode, dir_fd=dir_fd)
        exchange()
        try:
            return real(path, flags, mode, dir_fd=dir_fd)
        finally:
            exchange()

    monkeypatch.setattr(os, "open", opened)
    try:
        found = places.present(HOST)
        Journal(places).switch([Change(HOST, found, (found or b"") + b"new\n")])
    except (Unfit, InstallFailed) as error:
        assert "cannot be read by the owner" in str(error) or os.geteuid() != 0
    monkeypatch.undo()
    for path in site.iterdir():
        if SECRET in path.read_bytes():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
            assert path.stat().st_uid == os.geteuid(), path.name


def test_a_file_of_the_site_has_a_bound(site: Path, places: Places) -> None:
    """Its owner could have it take all memory."""
    with (site / HOST).open("ab") as file:
        file.truncate(4 * 1_048_576)
    assert places.present(HOST) is not None
    with (site / HOST).open("ab") as file:
        file.truncate(4 * 1_048_576 + 1)
    with pytest.raises(Unfit, match="is larger than 4194304 bytes"):
        places.present(HOST)


def test_an_access_list_stays(site: Path, places: Places) -> None:
    """With the new content, and with the old one again: who could read it can, and nobody else."""
    os.setxattr(site / HOST, ACCESS_LIST, LISTED)
    mode = (site / HOST).stat().st_mode
    journal = Journal(places)
    for ends in (journal.undo, journal.keep):
        journal.switch([Change(HOST, b"old\n", b"new\n")])
        assert os.getxattr(site / HOST, ACCESS_LIST) == LISTED
        assert (site / HOST).stat().st_mode == mode
        ends()
        assert os.getxattr(site / HOST, ACCESS_LIST) == LISTED
        assert (site / HOST).stat().st_mode == mode
    assert (site / HOST).read_bytes() == b"new\n"


def test_the_list_of_a_folder_gives_no_right_to_a_file(site: Path, places: Places) -> None:
    """What a new file gets by the folder it is made in is not what the old file had."""
    before = (site / HOST).stat().st_mode
    os.setxattr(
        site,
        "system.posix_acl_default",
        access_list((1, 7, NOBODY), (2, 7, STRANGER), (4, 5, NOBODY), (16, 7, NOBODY), (32, 5, NOBODY)),
    )
    journal = Journal(places)
    journal.switch([Change(HOST, b"old\n", b"new\n")])
    journal.keep()
    assert ACCESS_LIST not in os.listxattr(site / HOST)
    assert (site / HOST).stat().st_mode == before


def test_rights_that_change_meanwhile_undo_it(site: Path, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are compared when the new content has its place."""
    move = Folder.move

    def moved(self: Folder, name: str, to: str) -> None:
        move(self, name, to)
        if "-new" in name:
            (site / to).chmod(0o666)

    monkeypatch.setattr(Folder, "move", moved)
    mode = (site / HOST).stat().st_mode
    with pytest.raises(InstallFailed, match="changed by another program at the same moment; nothing was changed"):
        Journal(places).switch([Change(HOST, b"old\n", b"new\n")])
    assert ((site / HOST).read_bytes(), (site / HOST).stat().st_mode) == (b"old\n", mode)


def test_a_list_lets_asterisk_read(site: Path, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of root's that the folder's owner may read by the list is what Asterisk reads; another one is not."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    os.setxattr(site / HOST, ACCESS_LIST, LISTED)
    places.site.uid = STRANGER
    assert places.present(HOST) == b"old\n"
    places.site.uid = STRANGER + 1
    with pytest.raises(Unfit, match="cannot be read by the owner"):
        places.present(HOST)


@pytest.mark.parametrize("target", ["scripts/nightly.sh", "nightly.sh"])
def test_a_link_to_what_its_owner_may_not_change(
    site: Path, places: Places, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """The folder's owner could have a script of root's changed, which everybody may read."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (site / "scripts").mkdir()
    (site / target).write_text("#!/bin/sh\n")
    (site / target).chmod(0o755)
    (site / HOST).unlink()
    (site / HOST).symlink_to(target)
    assert places.present(HOST) == b"#!/bin/sh\n"
    places.site.uid = STRANGER
    with pytest.raises(Unfit, match="another user"):
        places.present(HOST)


@pytest.mark.parametrize("target", ["books/manifest.json", "./books/manifest.json", "{site}/books/manifest.json"])
def test_a_link_does_not_lead_into_the_books(site: Path, places: Places, target: str) -> None:
    """They are in another folder, which the owner of this one may not enter; the names of both are told apart."""
    (site / "books").mkdir()
    for folder in (site / "books", site.with_name("books")):
        for name in ("manifest.json",):
            (folder / name).write_bytes(b"of the books")
    (site / HOST).unlink()
    (site / HOST).symlink_to(target.format(site=site))
    with pytest.raises(Unfit, match="a name that the books"):
        places.present(HOST)
    with pytest.raises(Unfit, match="a name that the books"):
        places.real(HOST)

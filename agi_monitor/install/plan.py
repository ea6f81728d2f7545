"""What an install or an uninstall would change. Pure: contents in, changes out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agi_monitor.install import include_lines
from agi_monitor.install.include_lines import BrokenMarkers
from agi_monitor.install.manifest import Manifest, sha256

FOLDER = "agi-monitor"
OWN = f"{FOLDER}/.installed"
MANIFEST = f"{OWN}/manifest.json"
OURS = tuple(f"{FOLDER}/{name}" for name in ("agi-monitor.conf", "extensions.conf.sample", "manager.conf.include"))
"""Everything that is rendered for some site. A file that is no longer rendered has left its books."""
HOSTS: Mapping[str, str] = {
    "extensions.conf": f"{FOLDER}/agi-monitor.conf",
    "manager.conf": f"{FOLDER}/manager.conf.include",
}
"""The site's files that get an include, and what it reads."""

Contents = Mapping[str, bytes | None]
"""Path within Asterisk's folder -> content; None when there is no such file."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file. ``before`` is None for a new one, ``after`` for one that goes.

    Parameters:
        path: within Asterisk's folder.
        before: its content now.
        after: its content then.
    """

    path: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done.

    Parameters:
        changes: for people to look at.
        books: what goes with them: the manifest, and the previous content of each file.
        conflicts: what a person has done since and would be lost; one sentence each.
        notes: what is left to people.
    """

    changes: tuple[Change, ...]
    books: tuple[Change, ...] = ()
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def previous(path: str) -> str:
    """Where the content of a file before its last change is kept."""
    return f"{OWN}/{path.removeprefix(f'{FOLDER}/')}.previous"


def original(path: str) -> str:
    """Where the content of one of our files is kept that was there before the first install."""
    return f"{OWN}/{path.removeprefix(f'{FOLDER}/')}.original"


def wanted_paths(rendered: Mapping[str, str], manifest: Manifest | None) -> list[str]:
    """All paths whose contents ``install`` and ``uninstall`` need to know."""
    files = {f"{FOLDER}/{name}" for name in rendered} | set(OURS) | set(manifest.files if manifest else ())
    names = sorted(files) + list(HOSTS)
    return [*names, *map(previous, names), *map(original, names), MANIFEST]


def install(
    rendered: Mapping[str, str], present: Contents, manifest: Manifest | None, directory: str, *, has_folder: bool
) -> Plan:
    """Plan to have exactly the rendered files, and their includes.

    Parameters:
        rendered: file name and text.
        present: what is there, for all of ``wanted_paths``.
        manifest: what the last install wrote; None without one.
        directory: Asterisk's folder, to know an include by its absolute path.
        has_folder: whether the folder for the rendered files exists.
    """
    known = manifest or Manifest()
    wanted = {f"{FOLDER}/{name}": text.encode() for name, text in rendered.items()}
    changes: list[Change] = []
    conflicts: list[str] = []
    notes: list[str] = []
    for path in sorted({*wanted, *known.files}):
        before, after = present.get(path), wanted.get(path, present.get(original(path)))
        if before == after:
            continue
        if before is not None and sha256(before) != known.files.get(path):
            conflicts.append(f"{path}: was changed by something else than the last install")
        changes.append(Change(path, before, after))
    originals: dict[str, str] = {}
    for host, target in HOSTS.items():
        before = present.get(host)
        is_needed = target in wanted
        if before is None:
            if is_needed:
                conflicts.append(f"{host}: is not there, so nothing would load {target}; --force makes it")
                changes.append(Change(host, None, include_lines.with_include(b"", target)))
            continue
        try:
            bare, included = include_lines.without(before), include_lines.include_of(before)
            by_hand = include_lines.includes_by_hand(before, target, directory)
        except BrokenMarkers as error:
            conflicts.append(f"{host}: {error}; --force does not help here")
            continue
        if by_hand and is_needed:
            notes.append(f"{host}: reads {target} by a line of its own, which is left alone")
        after = include_lines.with_include(bare, target) if is_needed and not by_hand else bare
        if included == target and after != bare:
            # Lines that were added behind our own stay behind them.
            after = before
        elif included not in (None, target):
            conflicts.append(f"{host}: the include between the markers was changed")
        if after != bare and (host in known.originals or included is None or manifest is None):
            # Not for a file that an earlier install made: it goes again.
            originals[host] = known.originals.get(host) or sha256(bare)
        if after != before:
            changes.append(Change(host, before, after))
    firsts = [path for path in sorted(wanted) if path not in known.files and present.get(path) is not None]
    book = Manifest(
        {path: sha256(content) for path, content in wanted.items()},
        originals,
        known.made_folder if manifest else not has_folder,
    )
    return Plan(
        tuple(changes), tuple(_books(changes, firsts, present, book.to_bytes())), tuple(conflicts), tuple(notes)
    )


def uninstall(present: Contents, manifest: Manifest) -> Plan:
    """Plan to have nothing left of what an install did."""
    changes: list[Change] = []
    conflicts: list[str] = []
    notes: list[str] = []
    for path, digest in sorted(manifest.files.items()):
        before = present.get(path)
        if before is None:
            continue
        if sha256(before) != digest:
            conflicts.append(f"{path}: was changed by something else than the last install")
        if (after := present.get(original(path))) != before:
            changes.append(Change(path, before, after))
    for host in HOSTS:
        before = present.get(host)
        if before is None:
            continue
        try:
            after = include_lines.without(before)
        except BrokenMarkers as error:
            conflicts.append(f"{host}: {error}; --force does not help here")
            continue
        if after == before:
            continue
        if not after and manifest.originals.get(host) is None:
            changes.append(Change(host, before, None))
            continue
        changes.append(Change(host, before, after))
        if sha256(after) != manifest.originals.get(host):
            notes.append(f"{host}: was changed by hand since the install; only the marked include is taken out")
    names = sorted({*OURS, *manifest.files, *HOSTS})
    kept = (*map(previous, names), *map(original, names), MANIFEST)
    books = [Change(name, present[name], None) for name in kept if present.get(name) is not None]
    return Plan(tuple(changes), tuple(books), tuple(conflicts), tuple(notes))


def is_final(conflict: str) -> bool:
    """Whether force does not help."""
    return conflict.endswith("--force does not help here")


def diff(change: Change) -> Iterator[str]:
    """A unified diff of one file, line by line. Bytes that are no UTF-8 are shown as ``\\xNN``."""
    sides = [
        [line.decode("utf-8", "backslashreplace") for line in (side or b"").splitlines(keepends=True)]
        for side in (change.before, change.after)
    ]
    names = [
        "/dev/null" if side is None else f"{letter}/{change.path}"
        for letter, side in zip("ab", (change.before, change.after), strict=True)
    ]
    (before, after), (old, new) = sides, names
    for line in difflib.unified_diff(before, after, old, new):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _books(changes: list[Change], firsts: list[str], present: Contents, manifest: bytes) -> Iterator[Change]:
    for path in firsts:
        yield Change(original(path), present.get(original(path)), present[path])
    for change in changes:
        if change.before is not None and present.get(previous(change.path)) != change.before:
            yield Change(previous(change.path), present.get(previous(change.path)), change.before)
    if present.get(MANIFEST) != manifest:
        yield Change(MANIFEST, present.get(MANIFEST), manifest)

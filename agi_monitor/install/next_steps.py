"""What is left to a person after an install or an uninstall, in order, and as it can be copied. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agi_monitor.dialplan.site import Site
from agi_monitor.dialplan.view import GroupView, view
from agi_monitor.model import Flavour


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Parameters:
        what: a sentence, or the beginning of one that ends with the lines.
        lines: to be copied.
    """

    what: str
    lines: tuple[str, ...] = ()


LOAD_DIALPLAN = "module reload pbx_config.so"
LOAD_PHONES = "asterisk -rx 'module reload res_pjsip.so'"
CHECK = Step(
    "Asterisk does not report lines that it ignores. An account with 'write = config' finds them:",
    ("agi-monitor install --check --ami-user USER",),
)


def after_install(site: Site, commands: Sequence[str]) -> Iterator[Step]:
    """Yield what has to be done before a code can be dialled.

    Parameters:
        site: what was installed.
        commands: of Asterisk's console, to load the files; none where that is done.
    """
    if commands:
        yield Step("Load the files:", tuple(f"asterisk -rx '{command}'" for command in commands))
    if site.dialplan:
        yield from _reach(site)
    yield Step(
        "Start the server, or tell it of the changes if it runs:",
        ("systemctl enable --now agi-monitor", "agi-monitor reload"),
    )
    if commands:
        yield CHECK


def after_uninstall(commands: Sequence[str], stranded: Sequence[str] = ()) -> Iterator[Step]:
    """Yield how Asterisk comes to know that the files are gone.

    Parameters:
        commands: of Asterisk's console, to load the files; none where that is done.
        stranded: file, line and name of each phone whose context has gone with the files.
    """
    if stranded:
        yield Step("Give these phones another context; without one they can dial nothing:", tuple(stranded))
        yield Step("Load the phones:", (LOAD_PHONES,))
    if commands:
        yield Step("Load the files:", tuple(f"asterisk -rx '{command}'" for command in commands))


def _reach(site: Site) -> Iterator[Step]:
    groups = view(site).groups
    if not groups:
        return
    if site.flavour is Flavour.FREEPBX:
        yield Step(
            "In FreePBX, give each supervisor's extension this context (among its advanced settings):",
            tuple(str(group.phone_context) for group in groups),
        )
    elif site.phones is not None:
        # Each phone is in the group with the most codes alone.
        yield Step(
            "Give the supervisors' phones, and no others, their context (pjsip.conf, or the column of ps_endpoints):",
            tuple(line for group in groups for line in _endpoints(group)),
        )
        yield Step("Load the phones:", (LOAD_PHONES,))
    else:
        yield Step(
            "Include the codes in the context that the supervisors' phones dial from, and in no other "
            "(context = of their endpoints):",
            tuple(f"include => {group.context}" for group in groups),
        )
        yield Step("Load the dialplan again:", (f"asterisk -rx '{LOAD_DIALPLAN}'",))


def _endpoints(group: GroupView) -> Iterator[str]:
    for device in group.devices:
        yield f"[{device}] context = {group.phone_context}"
    if not group.devices:
        yield f"context = {group.phone_context}"

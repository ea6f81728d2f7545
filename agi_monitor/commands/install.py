"""The commands ``agi-monitor install`` and ``agi-monitor uninstall``."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from agi_monitor.commands import terminal, undoing
from agi_monitor.commands.options import config_option, json_option
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.config import translation
from agi_monitor.config.sections import Config
from agi_monitor.dialplan.parse import parse
from agi_monitor.dialplan.render import DIALPLAN
from agi_monitor.dialplan.render import render as render_dialplan
from agi_monitor.errors import AgiMonitorError, InstallFailed
from agi_monitor.files.folder import Folder, Unfit
from agi_monitor.install import next_steps
from agi_monitor.install import plan as plans
from agi_monitor.install.comparison import compare
from agi_monitor.install.journal import LOCK, Journal, alone, must_not_be_old, opened
from agi_monitor.install.manifest import BrokenManifest, Manifest
from agi_monitor.install.places import ALL_LIMIT, Places, books_of, open_books
from agi_monitor.install.plan import Plan
from agi_monitor.model import Flavour
from agi_monitor.names import weakness

if TYPE_CHECKING:
    from agi_monitor.ami.admin_session import AdminSession

MODULES: Mapping[str, str] = {
    "pbx_config.so": "module reload pbx_config.so",
    "manager": "manager reload",
    "res_pjsip.so": "module reload res_pjsip.so",
}
"""What Reload calls them, and the console: ``dialplan`` is unknown to it, and ``manager`` is not a module but has
a name."""
SECRET_VARIABLE = "AGI_MONITOR_ADMIN_SECRET"  # noqa: S105 - the name of it
SECRET_LINE = re.compile(
    r"((?:secret|pass|md5_cred|token)[^\s=,(]{0,80}\s{0,80}\+?=>?\s{0,80}|\bagi\s{0,80}\([^,\n]{0,300},\s{0,80})(.+)",
    re.IGNORECASE,
)
"""A secret by what stands in front of it, wherever that is in a line, also in a comment: a key with such a word in
it, or the URL of a FastAGI server. Bounded, as the line may be anyone's and of any length."""
HEADING = re.compile(r"\s*\[[A-Za-z0-9_.-]{1,80}\]\s*")
"""A line that may be shown of a file of the site, to see where a change is."""
SHORTEST = 6
"""Characters of a secret that is looked for in other lines as well; a shorter one is a part of many words."""

Command = TypeVar("Command", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Wish:
    """How an install or uninstall is to be done.

    Parameters:
        folder: Asterisk's.
        books: where the books of all folders are; None for the usual place.
        yes: do not ask.
        dry_run: change nothing.
        force: continue even if a file was changed by hand.
        as_json: print one JSON object.
        is_part: another command does the rest: the summary is all that is shown, and no next steps.
    """

    folder: Path
    books: Path | None = None
    yes: bool = False
    dry_run: bool = False
    force: bool = False
    as_json: bool = False
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """The administrator's account, as far as it is given."""

    host: str | None
    port: int | None
    user: str | None


def _common(command: Command) -> Command:
    for option in (
        click.option(
            "--ami-port",
            type=click.IntRange(1, 65_535),
            help="Port of the manager interface (default: the configuration's, or 5038).",
        ),
        click.option(
            "--ami-host", help="Host of the manager interface (default: the configuration's, or 127.0.0.1)."
        ),
        click.option(
            "--ami-user",
            help="An account of manager.conf with 'write = config', to reload and to ask what was loaded. Its secret "
            f"comes from the variable {SECRET_VARIABLE}, or is asked for. It is stored nowhere.",
        ),
        click.option("--force", is_flag=True, help="Continue even if a file was changed by hand since."),
        click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option(
            "--asterisk-dir",
            "folder",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            default="/etc/asterisk",
            show_default=True,
            help="Folder with Asterisk's configuration.",
        ),
        click.option(
            "--books",
            type=click.Path(file_okay=False, path_type=Path),
            envvar="AGI_MONITOR_BOOKS",
            show_envvar=True,
            help="The folder that keeps what was installed; only its owner may write to it. Default: "
            "/var/lib/agi-monitor-install for root, ~/.local/state/agi-monitor-install for others.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@_common
@click.option("--check", is_flag=True, help="Change nothing; check that the PBX has loaded what is rendered.")
@json_option
@config_option
def install(
    config_path: Path,
    as_json: bool,
    folder: Path,
    books: Path | None,
    yes: bool,
    dry_run: bool,
    force: bool,
    check: bool,
    ami_user: str | None,
    ami_host: str | None,
    ami_port: int | None,
) -> None:
    """Put the rendered files into Asterisk's folder and include them from its own files.

    Shows every change and asks. With --ami-user the PBX is told to load them and asked what it has loaded; when that
    is not what was rendered, everything is put back. Without it the commands to do so are printed.
    """
    login = Login(ami_host, ami_port, ami_user)
    if check:
        with ExitStack() as stack:
            config = load_with_people(config_path)
            rendered = render_dialplan(translation.site(config), config.dialplan.templates)
            session = log_in(stack, config, login)
            if session is None:
                terminal.fail("--check needs --ami-user")
            wrong, foreign = _compare(session, rendered)
            _report(as_json, "checked" if not wrong else "different", None, wrong, foreign)
            sys.exit(1 if wrong else 0)
    put_in(config_path, Wish(folder, books, yes, dry_run, force, as_json), login)


def put_in(config_path: Path, wish: Wish, login: Login) -> None:
    """Install, and check with an account what was loaded.

    Parameters:
        config_path: the configuration.
        wish: the options of the command.
        login: the administrator's account, as far as it is given.

    Raises:
        AgiMonitorError: it cannot be done; nothing has changed.
    """
    with ExitStack() as stack:
        config = load_with_people(config_path)
        site = translation.site(config)
        rendered = render_dialplan(site, config.dialplan.templates)
        places = _places(stack, wish.folder, wish.books)
        recovered = _recover(places, wish.dry_run)
        present = _present(places)
        found = plans.carried_over(present)
        manifest = _manifest(places, found)
        plan = plans.install(
            rendered,
            found,
            manifest,
            str(wish.folder.resolve()),
            has_folder=places.site.status(plans.FOLDER) is not None,
            hosts=plans.FREEPBX_HOSTS if site.flavour is Flavour.FREEPBX else plans.HOSTS,
        )
        plan = plans.moved_books(plan, present)
        masked = [text for text in (site.secret, site.manager.secret if site.manager else None) if text]
        if not _agreed(plan, masked, wish, "Install this?"):
            return
        # Before anything changes: a wrong secret must not be found out afterwards.
        session = log_in(stack, config, login)
        places = _places(stack, wish.folder, wish.books, places)
        with _switched(places, plan, session, wish.as_json):
            wrong, foreign = ([], []) if session is None else _load(session, rendered, _modules(plan))
            if wrong:
                raise _NotLoaded(wrong)
        if wish.is_part:
            return
        _report(wish.as_json, "installed" if plan.changes else "unchanged", plan, [], foreign)
        if plan.changes or recovered:
            modules = _modules(plan) if session is None else ()
            _say_numbered(next_steps.after_install(site, [MODULES[name] for name in modules]))


@click.command()
@_common
@json_option
@config_option
def uninstall(
    config_path: Path,
    as_json: bool,
    folder: Path,
    books: Path | None,
    yes: bool,
    dry_run: bool,
    force: bool,
    ami_user: str | None,
    ami_host: str | None,
    ami_port: int | None,
) -> None:
    """Remove what install put into Asterisk's folder, and what setup has made. Files not changed since are restored.

    What a setup has made on this machine goes as well: the service, the user, the configuration. Records of who heard
    whom stay.
    """
    _take_out(config_path, Wish(folder, books, yes, dry_run, force, as_json), Login(ami_host, ami_port, ami_user))
    if books is None:
        undoing.undo_setup(folder, yes=yes, dry_run=dry_run, err=as_json)


def _take_out(config_path: Path, wish: Wish, login: Login) -> None:
    folder = wish.folder
    with ExitStack() as stack:
        places = _places(stack, folder, wish.books)
        recovered = _recover(places, wish.dry_run)
        present = _present(places)
        found = plans.carried_over(present)
        manifest = _manifest(places, found)
        if manifest is None:
            terminal.say(f"{folder}: nothing was installed here", err=True)
            for path in plans.OURS:
                if present[path] is not None:
                    terminal.say(f"{folder / path}: exists: another user installed it and has the books", err=True)
            if wish.as_json:
                click.echo(json.dumps({"state": "unchanged", "files": {}, "wrong": [], "foreign": []}, indent=1))
            return
        plan = plans.moved_books(plans.uninstall(found, manifest, _rendered_now(config_path)), present)
        for phone in undoing.stranded_phones(folder):
            terminal.say(
                f"{phone}: dials from a context that goes; without another one it can dial nothing", err=True
            )
        if not _agreed(plan, [], wish, "Take this out?"):
            return
        session = None
        if login.user is not None:
            session = log_in(stack, load_with_people(config_path), login)
        dialplan = present.get(f"{plans.FOLDER}/{DIALPLAN}") or b""
        places = _places(stack, folder, wish.books, places)
        with _switched(places, plan, session, wish.as_json):
            complaints = [] if session is None else _reload(session, _modules(plan))
            if complaints:
                raise _NotLoaded(complaints)
        _remove_folders(places, manifest)
        left = []
        if session is not None:
            names = [context.name for context in parse(dialplan.decode("utf-8", "replace")).contexts]
            # The site may have an empty context of this name, for an include to find.
            left = [name for name in names if any("Extension" in row for row in session.context(name) or ())]
            left = [f"context {name} has extensions still" for name in left]
        _report(wish.as_json, "removed", plan, [], left)
        if plan.changes or recovered:
            modules = _modules(plan) if session is None else ()
            stranded = undoing.stranded_phones(folder)
            if steps := tuple(next_steps.after_uninstall([MODULES[name] for name in modules], stranded)):
                _say_numbered(steps)


# ---- parts of them ---------------------------------------------------------------------------------------


class _NotLoaded(InstallFailed):
    """The PBX has not loaded what was written."""

    def __init__(self, wrong: list[str]) -> None:
        super().__init__("\n".join(wrong))
        self.wrong = wrong


def _places(stack: ExitStack, folder: Path, given: Path | None, looked: Places | None = None) -> Places:
    """Open Asterisk's folder and the books until the end of the stack.

    Parameters:
        stack: closes them.
        folder: Asterisk's.
        given: where the books of all folders are.
        looked: what was open to look. Returned as it is where there are books; otherwise they are made.
    """
    if looked is not None and looked.has_books:
        return looked
    site = stack.enter_context(opened(folder)) if looked is None else looked.site
    must_not_be_old(site)
    books = open_books(books_of(folder, given, os.environ), make=looked is not None)
    if books is not None:
        stack.enter_context(books)
        stack.enter_context(alone(site, books))
    places = stack.enter_context(Places(site, books))
    if looked is not None and Journal(places).is_there():
        raise InstallFailed(f"{folder}: another agi-monitor was changing it; nothing was changed, try again")
    return places


def _recover(places: Places, dry_run: bool) -> bool:
    if not places.has_books:
        return False
    journal = Journal(places)
    if not journal.is_there():
        if not dry_run:
            journal.undo()  # what a call left that was killed at its very end
        return False
    if dry_run:
        terminal.fail(
            "an earlier run was killed half-way: run it once without --dry-run, which restores the old files"
        )
    journal.undo()
    click.echo("an earlier run was killed half-way: the old files were restored", err=True)
    return True


def _manifest(places: Places, found: Mapping[str, bytes | None]) -> Manifest | None:
    content = found.get(plans.MANIFEST)
    if content is None:
        return None
    try:
        return plans.checked(Manifest.from_bytes(content))
    except BrokenManifest as error:
        is_old = not places.has_books or places.books.status(Path(plans.MANIFEST).name) is None
        path = places.site.path / plans.OLD_MANIFEST if is_old else places.books.path / Path(plans.MANIFEST).name
        raise InstallFailed(
            f"{path}: {error}. Without it what was installed is not known: move it away, and the next install "
            "treats what is there as the site's own"
        ) from None


def _present(places: Places) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    left = ALL_LIMIT
    for path in plans.wanted_paths():
        try:
            content = found[path] = places.present(path)
            left -= len(content or b"")
            if left < 0:
                why = f"and those before it are larger than {ALL_LIMIT} bytes together"
                raise Unfit(places.site.path / path, why)
        except OSError as error:
            raise InstallFailed(
                f"{error.filename or places.site.path / path}: cannot be read: {error.strerror}"
            ) from error
    return found


def _agreed(plan: Plan, masked: list[str], wish: Wish, question: str) -> bool:
    """Show the plan; whether it is to be done."""
    as_json = wish.as_json
    masked = [*masked, *_secrets_of(plan)]
    for line in plans.summary(plan):
        terminal.say(line, err=as_json)
    for change in () if wish.is_part else plan.changes:
        if change.after is None and change.path in plans.OURS:
            continue  # hundreds of lines, all of them ours, would hide what is asked
        terminal.say("".join(_masked(_without_the_sites(change), masked)), nl=False, err=as_json)
    for note in plan.notes:
        terminal.say(note, err=True)
    is_final = any(one.is_final for one in plan.conflicts)
    if is_final or (plan.conflicts and not wish.force):
        wrong = [one.text for one in plan.conflicts]
        hint = (
            ""
            if is_final
            else "\nlook at the difference; --force continues, and keeps the old content beside the manifest"
        )
        if as_json:
            click.echo(json.dumps({"state": "refused", "files": _states(plan), "wrong": wrong, "foreign": []}))
        terminal.fail("\n".join(wrong) + hint)
    if wish.dry_run:
        _report(as_json, "dry run", plan, [], [])
        return False
    if plan.changes and not wish.yes:
        if not sys.stdin.isatty():
            terminal.fail("there is no terminal to ask: use --yes to continue, or --dry-run to look first")
        click.confirm(question, abort=True, err=True)
    return True


def _secrets_of(plan: Plan) -> list[str]:
    """The secrets in our own files as they are and as they will be: the old ones are in no configuration."""
    sides = [side for change in plan.changes if change.path in plans.OURS for side in (change.before, change.after)]
    found = {
        match[2].strip().removesuffix(")").replace("\\;", ";")
        for side in sides
        for match in SECRET_LINE.finditer((side or b"").decode("utf-8", "replace"))
    }
    found |= {secret.replace(";", "\\;") for secret in found}
    return sorted((secret for secret in found if len(secret) >= SHORTEST), key=len, reverse=True)


def _without_the_sites(change: plans.Change) -> Iterator[str]:
    """The difference, without lines of the site's own that stay: a PIN may be an argument in one."""
    sides = [
        {line.decode("utf-8", "backslashreplace") for line in (side or b"").splitlines()}
        for side in (change.before, change.after)
    ]
    stay = sides[0] & sides[1]
    for line in plans.diff(change):
        content, end, rest = line[1:].partition("\n")
        is_theirs = change.path in plans.ALL_HOSTS and line[:1] in (" ", "-", "+") and content in stay
        if is_theirs and content.strip() and not HEADING.fullmatch(content):
            yield f"{line[0]}(a line of this file that stays){end}{rest}"
        else:
            yield line


def _masked(lines: Iterable[str], secrets: list[str]) -> Iterator[str]:
    for line in lines:
        shown = SECRET_LINE.sub(r"\1(not shown)", line)
        for secret in secrets:
            shown = shown.replace(secret, "(not shown)")
        yield shown


def log_in(
    stack: ExitStack, config: Config, login: Login, wanted: frozenset[str] = frozenset()
) -> AdminSession | None:
    """Log in at the manager interface until the end of the stack; None without an account.

    Parameters:
        stack: logs out.
        config: says where it is.
        login: the account.
        wanted: names of events that are waited for.

    Raises:
        InstallFailed: that is not possible.
    """
    if login.user is None:
        return None
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret and sys.stdin.isatty():
        secret = click.prompt(f"Secret of {login.user}", hide_input=True, err=True)
    if not secret:
        terminal.fail(f"the secret of {login.user} is missing: put it into the variable {SECRET_VARIABLE}")
    ami = config.ami
    host = login.host or (ami.host if ami else "127.0.0.1")
    port = login.port or (ami.port if ami else 5038)
    tls = ami.tls if ami and host == ami.host and port == ami.port else None
    if why := weakness(login.user, secret):
        terminal.say(f"the secret of {login.user} {why}: give the account a long random one", err=True)
    # Only now: Twisted takes the sockets that systemd passes when it is imported, and serve needs them.
    from agi_monitor.ami.admin_session import AdminSession

    return stack.enter_context(
        AdminSession(host, port, login.user, secret, None if tls is None else (tls.ca_file, tls.name), wanted=wanted)
    )


def _rendered_now(config_path: Path) -> Mapping[str, str]:
    """What the configuration gives; nothing where it is gone or wrong, which stops no uninstall."""
    try:
        config = load_with_people(config_path)
        return render_dialplan(translation.site(config), config.dialplan.templates)
    except AgiMonitorError:
        return {}


def _modules(plan: Plan) -> tuple[str, ...]:
    """The modules that read a file which is changed. The phones' one is left alone otherwise."""
    is_pjsip = any("pjsip" in change.path for change in plan.changes)
    return tuple(module for module in MODULES if is_pjsip or "pjsip" not in module)


def _reload(session: AdminSession, modules: Iterable[str]) -> list[str]:
    said = [(module, session.reload(module)) for module in modules]
    return [f"{module}: Asterisk could not load it: {text}" for module, text in said if text is not None]


def _load(session: AdminSession, rendered: Mapping[str, str], modules: Iterable[str]) -> tuple[list[str], list[str]]:
    complaints = _reload(session, modules)
    wrong, foreign = _compare(session, rendered)
    return complaints + wrong, foreign


def _compare(session: AdminSession, rendered: Mapping[str, str]) -> tuple[list[str], list[str]]:
    wrong: list[str] = []
    foreign: list[str] = []
    for context in parse(rendered.get(DIALPLAN, "")).contexts:
        found = compare(context, session.context(context.name))
        wrong += found.wrong
        foreign += found.foreign
    return wrong, foreign


@contextmanager
def _switched(places: Places, plan: Plan, session: AdminSession | None, as_json: bool) -> Iterator[None]:
    """The new files are in place, and stay when nothing fails here; otherwise the old ones are put back."""
    journal = Journal(places)
    try:
        journal.switch((*plan.changes, *plan.books))
        yield
        journal.keep()
    except BaseException as error:
        _put_back(journal, session, error, _modules(plan))
        if isinstance(error, _NotLoaded):
            _report(as_json, "rolled back", plan, error.wrong, [])
            sys.exit(1)
        raise


def _put_back(journal: Journal, session: AdminSession | None, error: BaseException, modules: tuple[str, ...]) -> None:
    """Return to the old files, in the PBX as well."""
    if not journal.undo():
        return
    click.echo("the old files were restored", err=True)
    if session is None:
        return
    try:
        complaints = _reload(session, modules)
    except AgiMonitorError as failure:
        complaints = [str(failure)]
    for complaint in complaints:
        terminal.say(f"the PBX may still use the new ones: {complaint}", err=True)
    if complaints:
        _say_commands(modules)


def _remove_folders(places: Places, manifest: Manifest) -> None:
    folder, books = places.site, places.books
    with suppress(FileNotFoundError, NotADirectoryError):
        ours = folder.below(plans.FOLDER)
        with ours, suppress(FileNotFoundError):
            _remove_folder(ours, Path(plans.OLD_BOOKS).name)
        if manifest.made_folder:
            _remove_folder(folder, plans.FOLDER)
    with Folder.at(books.path.parent) as above, suppress(OSError):
        books.remove(LOCK)
        above.remove_folder(books.path.name)


def _remove_folder(folder: Folder, name: str) -> None:
    try:
        folder.remove_folder(name)
    except FileNotFoundError:
        pass
    except OSError:
        terminal.say(f"{folder.path / name}: is kept: it has other contents", err=True)


def _states(plan: Plan) -> dict[str, str]:
    return {
        change.path: "new" if change.before is None else "removed" if change.after is None else "changed"
        for change in plan.changes
    }


def _report(as_json: bool, state: str, plan: Plan | None, wrong: list[str], foreign: list[str]) -> None:
    files = {} if plan is None else _states(plan)
    if as_json:
        notes = [] if plan is None else list(plan.notes)
        row = {"state": state, "files": files, "notes": notes, "wrong": wrong, "foreign": foreign}
        click.echo(json.dumps(row, indent=1))
        return
    for line in wrong:
        terminal.say(line, err=True)
    for line in foreign:
        terminal.say(f"not from this install, check it: {line}", err=True)
    for path, change in files.items():
        terminal.say(f"{path}: {change}")
    terminal.say(state)


def _say_commands(modules: Iterable[str]) -> None:
    for module in modules:
        terminal.say(f"Next: asterisk -rx '{MODULES[module]}'", err=True)


def _say_numbered(steps: Iterable[next_steps.Step]) -> None:
    click.echo("Next:", err=True)
    for number, step in enumerate(steps, start=1):
        terminal.say(f"{number}. {step.what}", err=True)
        for line in step.lines:
            terminal.say(f"   {line}", err=True)

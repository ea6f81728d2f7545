"""The command ``agi-monitor setup``: from nothing to a first call."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click

from agi_monitor import names
from agi_monitor.commands import man, terminal
from agi_monitor.commands.install import Login, Wish, put_in
from agi_monitor.commands.options import DEFAULT_CONFIG
from agi_monitor.commands.pin import by_chance, read
from agi_monitor.config import control_socket
from agi_monitor.config.loading import load
from agi_monitor.config.sections import Config
from agi_monitor.control import client
from agi_monitor.errors import AgiMonitorError, ControlFailed
from agi_monitor.files.folder import Folder
from agi_monitor.install.places import ROOT_BOOKS
from agi_monitor.pins.records import make_hash
from agi_monitor.pins.rules import PinRules, numbers_of
from agi_monitor.setup import answers as answering
from agi_monitor.setup import console, shipped
from agi_monitor.setup import plan as plans
from agi_monitor.setup.answers import Answers, Secrets
from agi_monitor.setup.making import Maker, has_user, unreachable
from agi_monitor.setup.plan import USER, Machine, Places, Task
from agi_monitor.setup.record import Record
from agi_monitor.setup.surroundings import Surroundings, look

RUNS_SYSTEMD = Path("/run/systemd/system")
"""It is there where systemd is the first process (sd_booted(3))."""
TERMINAL = Path("/dev/tty")


@click.command()
@click.option(
    "--asterisk-dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="/etc/asterisk",
    show_default=True,
    help="Folder with Asterisk's configuration.",
)
@click.option("--phone", help="Extension of the phone that supervises.")
@click.option("--supervisor", help="Id of the supervisor in rules and records (default: supervisor).")
@click.option(
    "--agent", "agents", multiple=True, help="Extension whose calls may be heard; repeatable (default: all others)."
)
@click.option("--console", "socket", type=click.Path(path_type=Path), help="Socket of Asterisk's console.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show the steps, and change nothing.")
@click.pass_context
def setup(
    context: click.Context,
    folder: Path,
    phone: str | None,
    supervisor: str | None,
    agents: tuple[str, ...],
    socket: Path | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Set up everything on the machine of the PBX, from nothing to a first call. Run it as root.

    Finds the phones, asks who supervises whom, makes a PIN, writes the configuration, installs the dialplan, has
    Asterisk load it, starts the server, runs doctor, and says what to dial. The PIN is shown once, on the terminal;
    without a terminal, give one on standard input. Stopped at any point, it can be run again; what exists is kept.
    'agi-monitor uninstall' undoes all of it.
    """
    if not folder.is_dir():
        terminal.fail(
            f"{folder}: there is no such folder. Setup runs on the machine of the PBX; for one elsewhere, write a "
            "configuration with 'agi-monitor init' and its dialplan with 'agi-monitor render'"
        )
    places = Places(config=Path(DEFAULT_CONFIG))
    machine = _machine(places)
    _must_be_fit(machine, dry_run)
    found = look(folder)
    asks = not (yes or dry_run) and sys.stdin.isatty()
    answers = None if machine.has_config else _answers(folder, found, phone, supervisor, agents, asks=asks)
    steps = list(plans.steps(machine, places, answers, folder))
    for number, step in enumerate(steps, start=1):
        terminal.say(f"{number}. {step.text}")
    if dry_run:
        terminal.say("nothing was changed (--dry-run)")
        return
    if not yes:
        if not sys.stdin.isatty():
            terminal.fail("there is no terminal to ask: use --yes to continue, or --dry-run to look first")
        click.confirm("Do this?", abort=True, err=True)
    record = Record(ROOT_BOOKS, folder)
    program = context.find_root().command
    assert isinstance(program, click.Group)  # noqa: S101 (the program has commands)
    at = socket or console.place(folder)
    work = _Work(machine, places, Maker(record), folder, at, found, answers, program)
    for number, step in enumerate(steps, start=1):
        terminal.say(f"[{number}/{len(steps)}] {step.text}")
        if step.task is Task.DOCTOR:
            _doctor(context, folder, places.config)
        else:
            work.do(step.task)
    work.say_the_end()


# ---- what is asked -------------------------------------------------------------------------------------------


def _machine(places: Places) -> Machine:
    program = Path(sys.prefix) / "bin" / "agi-monitor"
    return Machine(
        program, has_user(USER), os.path.lexists(places.config), shipped.PACKAGED.is_file(), RUNS_SYSTEMD.is_dir()
    )


def _must_be_fit(machine: Machine, dry_run: bool) -> None:
    """Root, and a program that the server's user can use and only root can change."""
    wrong = "" if os.geteuid() == 0 else "setup makes users, folders and services: run it as root"
    if not wrong and not machine.program.exists():
        wrong = f"{machine.program}: is not there; install the program with pip, as README says"
    if not wrong:
        why = unreachable(machine.program) or unreachable(Path(sys.executable))
        wrong = f"{why}: install the program into /opt/agi-monitor, with /usr/bin/python3" if why else ""
    if wrong and not dry_run:
        terminal.fail(wrong)
    if wrong:
        terminal.say(wrong, err=True)


def _answers(
    folder: Path,
    found: Surroundings,
    phone: str | None,
    supervisor: str | None,
    agents: tuple[str, ...],
    *,
    asks: bool,
) -> Answers:
    for note in found.notes:
        terminal.say(note, err=True)
    if not found.agents:
        terminal.fail(
            f"{folder / 'pjsip.conf'}: no phones were found. Write them there, or write a configuration with: "
            f"{Path(sys.prefix) / 'bin' / 'agi-monitor'} init. Then run this again"
        )
    if phone is None:
        listed = ", ".join(_named(found, extension) for extension in found.agents)
        if not asks:
            terminal.fail(f"--phone is missing: which phone supervises? There are: {listed}")
        terminal.say(f"phones: {listed}")
        phone = str(_asked("Which of them supervises", lambda said: _phone(said, found)))
    if supervisor is None:
        supervisor = "supervisor"
        if asks:
            supervisor = str(_asked("Id of the supervisor", _id, default=supervisor))
    if not agents:
        others = tuple(extension for extension in found.agents if extension != phone)
        agents = others
        if asks:
            question = "Whose calls may be heard (extensions, or all)"
            agents = tuple(_asked(question, lambda said: _heard(said, others, found), default="all"))
    answers = Answers(supervisor, phone, agents)
    wrong = answering.problems(answers, found)
    if wrong:
        terminal.fail("\n".join(wrong))
    return answers


def _asked(question: str, convert: Callable[[str], Sequence[str]], default: str | None = None) -> Sequence[str]:
    """Ask until the answer is one that can be: the next question would come too early."""
    said: Sequence[str] = click.prompt(question, default=default, value_proc=convert, err=True)
    return said


def _phone(said: str, found: Surroundings) -> str:
    return _possible(said.strip(), answering.phone_problem(said.strip(), found))


def _id(said: str) -> str:
    return _possible(said.strip(), answering.id_problem(said.strip()))


def _heard(said: str, others: tuple[str, ...], found: Surroundings) -> tuple[str, ...]:
    wanted = others if said.strip() == "all" else tuple(said.replace(",", " ").split())
    for one in wanted:
        _possible(one, answering.phone_problem(one, found))
    return wanted


def _possible(said: str, problem: str) -> str:
    if problem:
        raise click.UsageError(problem)
    return said


def _named(found: Surroundings, extension: str) -> str:
    name = found.agents[extension].get("name")
    return f"{extension} ({name})" if name else extension


# ---- what is done --------------------------------------------------------------------------------------------


class _Work:
    """The steps of one setup."""

    def __init__(
        self,
        machine: Machine,
        places: Places,
        maker: Maker,
        folder: Path,
        socket: Path,
        found: Surroundings,
        answers: Answers | None,
        program: click.Group,
    ) -> None:
        self._program = program
        self._machine = machine
        self._places = places
        self._maker = maker
        self._folder = folder
        self._socket = socket
        self._found = found
        self._answers = answers

    def do(self, task: Task) -> None:
        """Do one step.

        Raises:
            AgiMonitorError: it failed. Those before it stay; the next setup continues from here.
        """
        places, maker = self._places, self._maker
        match task:
            case Task.USER:
                maker.user(USER, places.state)
            case Task.FOLDERS:
                # The group of new files in it is the server's.
                maker.folder(places.config.parent, 0o2750, "root", USER)
                maker.folder(places.log, 0o750, USER, USER)
                maker.folder(places.state, 0o750, USER, USER)
            case Task.COMMAND:
                if not maker.link(places.command, self._machine.program) and not _leads(places, self._machine):
                    _kept(places.command)
            case Task.PAGES:
                maker.folder(places.man, 0o755)
                for name, page in man.pages(self._program).items():
                    maker.file(places.man / name, page.encode(), 0o644)
            case Task.CONFIGURATION:
                if self._answers is not None:
                    self._configure(self._answers)
                load(places.config)
            case Task.DIALPLAN:
                put_in(places.config, Wish(self._folder, yes=True, is_part=True), Login(None, None, None))
            case Task.LOAD:
                self._load()
            case Task.SERVER:
                unit = b"" if self._machine.is_packaged else shipped.unit(self._machine.program)
                if unit and not maker.file(places.unit, unit, 0o644):
                    _kept(places.unit)
                maker.unit(places.unit.stem)
            case Task.DOCTOR:
                raise ValueError("the doctor is another command")

    def _configure(self, answers: Answers) -> None:
        own = numbers_of(self._found.devices(answers.phone))
        if sys.stdin.isatty():
            digits = by_chance(PinRules(), own)
            # On the terminal itself: an output may lead into a log. And before the file is there: a PIN that was not
            # seen must not be in force.
            with TERMINAL.open("w", encoding="utf-8") as out:
                out.write(f"The PIN of {answers.supervisor}, shown only here: {digits}\n")
        else:
            digits = read()
            problem = PinRules().problem(digits, own)
            if problem is not None:
                terminal.fail(
                    f"there is no terminal to show a PIN on, so one is read from standard input: "
                    f"{PinRules().said(problem)}"
                )
        made = Secrets(make_hash(digits), secrets.token_hex(16))
        text = answering.configuration(answers, self._found, made)
        if not self._maker.file(self._places.config, text.encode(), 0o640, "root", USER):
            _kept(self._places.config)

    def _load(self) -> None:
        config = load(self._places.config).config
        self._ask("module reload pbx_config.so")
        if config.ami is not None and config.asterisk.account:
            self._ask("manager reload")
        for group in _groups(config):
            if "There is no existence of" in self._ask(f"dialplan show agi-monitor-group-{group}"):
                terminal.fail(
                    f"Asterisk has not loaded the context agi-monitor-group-{group}: its log says why. "
                    "Then run this again"
                )

    def _ask(self, command: str) -> str:
        with Folder.at(self._folder) as folder:
            owner = folder.uid
        return console.ask(self._socket, owner, command)

    # ---- the end ----------------------------------------------------------------------------------------

    def say_the_end(self) -> None:
        """Tell what to dial, or what has to be done first."""
        config = load(self._places.config).config
        answers = self._answers or _answers_in(config, self._found)
        if answers is None:
            terminal.say("everything is set up; people are not in the configuration file")
            return
        number = f"{config.codes.listen}{answers.agents[0]}"
        left = () if self._is_reachable(answers, number) else plans.left(answers, self._found)
        if not _serves(self._places.config):
            user = f"runuser -u {USER} -- {self._places.command if not self._machine.is_packaged else 'agi-monitor'}"
            command = "systemctl restart agi-monitor" if self._machine.has_systemd else f"{user} serve"
            left = (*left, plans.Left("Start the server:", (command,)))
        for step in left:
            terminal.say(step.what)
            for line in step.lines:
                terminal.say(f"    {line}")
        after = "Then, during" if left else "During"
        again = " ('agi-monitor setup' looks again)" if left else ""
        terminal.say(f"{after} a call of {answers.agents[0]}, on the phone {answers.phone}{again}: now dial {number}")

    def _is_reachable(self, answers: Answers, number: str) -> bool:
        """Whether the phone, as Asterisk has loaded it, reaches the code."""
        for device in self._found.devices(answers.phone):
            name = device.removeprefix("PJSIP/")
            if name == device or not names.WRITTEN_DEVICE.fullmatch(name):
                continue
            shown = self._ask(f"pjsip show endpoint {name}")
            lines = (line.partition(":") for line in shown.splitlines())
            context = next((value.strip() for key, _, value in lines if key.strip() == "context"), "")
            if not names.CONTEXT.fullmatch(context):
                continue
            # Its last line, where there is such an extension: -= 1 extension (1 priority) in 1 context. =-
            if "-= " in self._ask(f"dialplan show {number}@{context}"):
                return True
        return False


def _groups(config: Config) -> list[str]:
    if not config.asterisk.dialplan:
        return []
    return sorted({group for one in config.supervisors.values() if not one.disabled for group in one.groups})


def _answers_in(config: Config, found: Surroundings) -> Answers | None:
    """Who supervises whom in a configuration that was there: the first of each."""
    for name, supervisor in config.supervisors.items():
        for extension in found.agents:
            if set(found.devices(extension)) & set(supervisor.endpoints):
                agents = tuple(one for one in config.agents if one != extension)
                return Answers(name, extension, agents) if agents else None
    return None


def _serves(config_path: Path) -> bool:
    path = control_socket.named_in(config_path)
    try:
        if path is not None:
            client.status(path, 5.0)
    except ControlFailed:
        return False
    return path is not None


def _leads(places: Places, machine: Machine) -> bool:
    """Whether the name on the PATH is the program already, as an earlier setup left it."""
    return os.path.realpath(places.command) == os.path.realpath(machine.program)


def _kept(path: Path) -> None:
    terminal.say(f"{path}: exists, and is left as it is")


def _doctor(context: click.Context, folder: Path, config_path: Path) -> None:
    """Run the doctor; what it finds stops nothing here."""
    from agi_monitor.commands.doctor import doctor

    given: Mapping[str, object] = {"folder": folder, "config_path": config_path}
    with suppress(SystemExit, AgiMonitorError):
        context.invoke(doctor, **given)

"""A laboratory: one Asterisk, its phones, and the ear that tells who hears whom.

    host (tests, FastAGI server) --- gateway of a bridge network of its own --- Asterisk
                                                                            \\- the phones' container

Rules: everything carries the label `agi-monitor-lab` and is removed at the end; what a killed run left behind is
removed by the next one.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
import wave
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # its reaper image is in no registry within reach

from docker.errors import NotFound  # type: ignore[import-untyped]  # the client library carries no type information
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import ExecWaitStrategy, FileExistsWaitStrategy

from contrib.lab import console, waiting
from contrib.lab.agi_commands import ACCOUNT, AgiCommands
from contrib.lab.capture import PAYLOAD_ULAW, RtpCapture
from contrib.lab.certificates import Authority
from contrib.lab.endpoints import (
    ALWAYS_ON,
    ENDPOINTS,
    MUSIC_TONE_HZ,
    NOTICE_SOUND,
    NOTICE_TONE_HZ,
    RTP_PORT,
    RTP_PORTS_EACH,
    TONES_HZ,
    endpoint_of_rtp_port,
)
from contrib.lab.engine import engine_client
from contrib.lab.errors import LabError, PhoneError, Unclear, WaitTimeout
from contrib.lab.images import ASTERISK, CACHE, PHONES, ensure_images
from contrib.lab.phone import Phone
from contrib.lab.sound import Hearing, has_tone, measure, sine, tones_in, ulaw_to_linear
from contrib.lab.srtp import Decrypter, keys_in
from contrib.lab.stalls import Stalls

VERSIONS = tuple(ASTERISK)
LABEL = "agi-monitor-lab"
LABEL_HOST = "agi-monitor-lab.host"
OWNER = "owner"
"""A file in a laboratory's folder that names its program; a folder that is to be kept has none."""
ASTERISK_START_SECONDS = 60
CONSOLE_TRIES = 3
"""The console of a busy 16 was seen to show nothing at all, and to show everything when it was asked again."""
CLEAN_SECONDS = 40.0
KEYS_SECONDS = 40.0
"""A sentence is said to its end first."""
SETTLE_SECONDS = 0.3
"""After a moment of interest old sound is still under way, most of it in ChanSpy's queue of 100 ms."""
LISTEN_SECONDS = 0.6
HEARING_SECONDS = 40.0
"""Prompts that are under way are played to their end first."""
STALLS_SECONDS = 1.0
"""Before and after the beginning of something: how long the machine is looked at."""
LATE_SECONDS = 0.1
"""How long a packet may take from the wire into the capture file."""
MANAGER_TLS_PORT = 5039
MANAGER_NAME = "pbx.example"
"""A host name that the manager interface's certificate is for, besides the PBX's address."""
TLS_CERTIFICATE = "/etc/asterisk/lab/pbx.pem"
"""On the PBX: certificate and key for SIP over TLS, for MANAGER_NAME."""
MANAGER_ACCOUNTS = {
    ACCOUNT: "",
    "monitor": "call,reporting,user",
    "caller": "call",
    "dialler": "call,originate",
    "administrator": "config",
    "doctor": "call,config,originate,reporting,system",
}
"""Accounts of the manager interface, each with the classes of what it may do. All see what calls do, but for that of
`AgiCommands`, which sees what AGI programs do."""
PUBLISHED_RTP = range(10_000, 10_032)
"""UDP ports for sound when softphones of other machines take part: two a call leg."""
SPEECH_SECONDS = 900
"""How long a phone speaks in one call; baresip does not play a file twice."""

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Channel:
    """One channel, from `core show channels concise`."""

    name: str
    context: str
    extension: str
    state: str
    application: str
    data: str
    caller_number: str
    bridge: str
    unique_id: str


class Asterisk:
    """A running Asterisk. Made by `Lab`.

    :param container: the container it runs in
    :param version: "16" or "22"
    :param address: its address, reachable from this host
    :param gateway: this host's address as Asterisk sees it, for AGI(agi://<gateway>:<port>)
    :param folder: with log/, run/ and agi-monitor/, all of them mounted
    """

    def __init__(self, container: DockerContainer, version: str, address: str, gateway: str, folder: Path) -> None:
        self.container = container
        self.version = version
        self.address = address
        self.gateway = gateway
        self.log = folder / "log" / "full"
        """The full log, without digits."""
        self.generated = folder / "agi-monitor"
        """Mounted as /etc/asterisk/agi-monitor; extensions.conf includes its *.conf, manager.conf the account."""
        self._manager_accounts = folder / "lab" / "manager_accounts.conf"
        self._console = folder / "run" / "asterisk.ctl"
        self._marks_set = 0

    def cli(self, command: str) -> str:
        """Run a command of Asterisk's console and return what it prints.

        :raises LabError: the console cannot be reached
        """
        for _ in range(CONSOLE_TRIES):
            text = console.ask(self._console, command)
            if text.strip() or " show " not in command:
                return text
        return ""

    def channels(self) -> tuple[Channel, ...]:
        """List the channels that exist now."""
        found = []
        for line in self.cli("core show channels concise").splitlines():
            fields = line.split("!")
            if len(fields) >= 14:
                name, context, extension, _, state, application, data, number = fields[:8]
                found.append(
                    Channel(name, context, extension, state, application, data, number, fields[-2], fields[-1])
                )
        return tuple(found)

    def channels_of(self, endpoint: str) -> tuple[Channel, ...]:
        """List the channels of one phone."""
        name = re.compile(rf"PJSIP/{re.escape(endpoint)}-[0-9a-f]{{8}}")
        return tuple(one for one in self.channels() if name.fullmatch(one.name))

    def bridged(self, *endpoints: str) -> bool:
        """Tell whether these phones are in one bridge now."""
        bridges = [{one.bridge for one in self.channels_of(endpoint) if one.bridge} for endpoint in endpoints]
        return bool(set.intersection(*bridges))

    def hint(self, extension: str) -> str:
        """Tell the state of an extension, in Asterisk's words: Idle, InUse, Ringing, Hold, Unavailable, …"""
        found = re.search(rf"^{re.escape(extension)}@\S+\s.*?State:(\S+)", self.cli("core show hints"), re.M)
        if found is None:
            raise LabError(f"extension {extension} has no hint")
        return found[1]

    def dialplan_show(self, context: str = "") -> str:
        """Show a context of the dialplan as Asterisk loaded it, or all of it."""
        return self.cli(f"dialplan show {context}".strip())

    def write_dialplan(self, name: str, text: str) -> Path:
        """Put a file into the generated folder and load it.

        :param name: file name without .conf
        :raises LabError: Asterisk did not load it
        """
        path = self.generated / f"{name}.conf"
        path.write_text(text)
        self.reload_dialplan()
        return path

    def remove_dialplan(self, name: str) -> None:
        """Take a file out of the generated folder again and reload."""
        (self.generated / f"{name}.conf").unlink(missing_ok=True)
        self.reload_dialplan()

    def reload_dialplan(self) -> None:
        """Load the dialplan again.

        :raises LabError: Asterisk logged an error or a warning about it
        """
        mark = self.log_mark()
        self.cli("dialplan reload")
        self._wait_for_logger(mark)
        complaints = [
            line
            for line in self.log_since(mark).splitlines()
            if re.search(r"(WARNING|ERROR)\[", line)
            and re.search(r"pbx_config|pbx\.c|config\.c|ael|dialplan", line)
            and "users.conf" not in line
        ]
        if complaints:
            raise LabError(f"Asterisk {self.version} complains about the dialplan:\n" + "\n".join(complaints))

    def _wait_for_logger(self, mark: int) -> None:
        """Wait until the log holds all that was logged until now: a thread of its own writes it, in order."""
        self._marks_set += 1
        self.cli(f"dialplan set global LAB_LOG_MARK {self._marks_set}")
        self.wait_for_log(rf"'LAB_LOG_MARK' to '{self._marks_set}'", since=mark)

    @contextmanager
    def manager_accounts(self, text: str) -> Iterator[None]:
        """Put accounts where `agi-monitor render` puts its own, and load them; afterwards all is as it was.

        :param text: the whole file
        :raises LabError: Asterisk did not load it
        """
        path = self.generated / "manager.conf.include"
        before = path.read_text() if path.exists() else None
        path.write_text(text)
        try:
            self.reload_manager()
            yield
        finally:
            if before is None:
                path.unlink()
            else:
                path.write_text(before)
            self.reload_manager()

    def reload_manager(self) -> None:
        """Load manager.conf, what it includes, and the certificate again. Clients that are logged in stay logged in.

        :raises LabError: Asterisk logged an error or a warning about it
        """
        mark = self.log_mark()
        # A certificate is read again only when one of the files has changed.
        self._manager_accounts.touch()
        self.cli("manager reload")
        self.wait_for_log(r" tcptls\.c: ", since=mark)
        complaints = [
            line
            for line in self.log_since(mark).splitlines()
            # A client that refuses the certificate is not a fault of the file.
            if re.search(r"(WARNING|ERROR)\[.* (manager|config|tcptls|acl)\.c: ", line) and "with peer" not in line
        ]
        if complaints:
            raise LabError(f"Asterisk {self.version} complains about manager.conf:\n" + "\n".join(complaints))

    def hangup_all(self, timeout: float = CLEAN_SECONDS) -> None:
        """End every channel and wait until none is left."""
        if self.is_quiet():
            return
        self.cli("channel request hangup all")
        self.wait_until(self.is_quiet, timeout, "all channels to end")

    def is_quiet(self) -> bool:
        """Tell whether there is no channel."""
        return re.search(r"^0 active channels", self.cli("core show channels count"), re.M) is not None

    def log_mark(self) -> int:
        """Remember the end of the log, for `log_since`."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_since(self, mark: int = 0) -> str:
        """Read the log from a mark on."""
        with self.log.open("rb") as file:
            file.seek(mark)
            return file.read().decode(errors="replace")

    def wait_for_log(self, pattern: str, timeout: float = CLEAN_SECONDS, *, since: int = 0) -> re.Match[str]:
        """Wait until a regular expression matches in the log from a mark on."""
        return self.wait_until(
            lambda: re.search(pattern, self.log_since(since)), timeout, f"the log to hold {pattern!r}"
        )

    def wait_until(self, look: Callable[[], Seen | None], timeout: float, what: str) -> Seen:
        """Wait for a condition; the error shows the channels.

        :param look: asked again and again; the first true answer is returned
        :param timeout: seconds
        :param what: the condition in words
        """

        def describe() -> str:
            return f"channels of Asterisk {self.version}:\n{self.cli('core show channels verbose')}"

        return waiting.wait_until(look, timeout, what, interval=0.05, describe=describe)


class Lab:
    """One Asterisk with its phones, as a context manager.

    :param version: "16" or "22"
    :param phones: which phones are switched on from the beginning
    :param keep: keep the folder with logs and packets at the end
    :param site: files of Asterisk that take the place of the laboratory's own, by their names in /etc/asterisk, or by
        their paths. They stand in `folder`/pbx, where an install finds them
    :param encrypted: phones use TLS and SRTP, with a certificate of `authority` that is at TLS_CERTIFICATE on the PBX
    :param image: what the PBX runs in; by default the one of its version. What is generated is not mounted there
    :param publish: an address of this host on which softphones of other machines reach the PBX; None keeps it
        to this host
    """

    def __init__(
        self,
        version: str = "22",
        phones: Iterable[str] = ALWAYS_ON,
        *,
        keep: bool = False,
        publish: str | None = None,
        site: Mapping[str, str | bytes] | None = None,
        encrypted: bool = False,
        image: str | None = None,
    ) -> None:
        self.site = dict(site or {})
        self.image = image
        self.encrypted = encrypted
        if version not in ASTERISK:
            raise ValueError(f"Asterisk {version} is not one of {', '.join(VERSIONS)}")
        self.version = version
        self.keep = keep
        self.publish = publish
        self._first_phones = tuple(phones)
        self._stack = ExitStack()
        self.folder: Path
        self.pbx: Asterisk
        self.capture: RtpCapture
        self._agi: AgiCommands
        self._stalls: Stalls
        self.phones: dict[str, Phone] = {}
        self.passwords: dict[str, str] = {}
        """Of the SIP accounts, by name; new for each start."""
        self.manager_secrets: dict[str, str] = {}
        """Of the accounts of the manager interface, by name; new for each start."""
        self.authority = Authority("agi-monitor laboratory")
        """Signs the certificate of the manager interface."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # What a test does

    @property
    def gateway(self) -> str:
        """This host's address as Asterisk sees it."""
        return self.pbx.gateway

    def phone(self, name: str) -> Phone:
        """Take a phone in the hand; one that is off (1001-mobile at first) is switched on."""
        if name not in self.phones:
            raise LabError(f"there is no phone {name}; there are {', '.join(self.phones)}")
        self.phones[name].switch_on()
        return self.phones[name]

    def sound_of(self, name: str) -> tuple[str, int]:
        """Tell a phone's address and first port for sound. What is sent there is on record, also while it is off."""
        phone = self.phones[name]
        return phone.address, phone.endpoint.rtp_ports.start

    @property
    def ca_file(self) -> Path:
        """The certificate of `authority`, for clients that connect to the manager interface with TLS."""
        return self.folder / "ca.pem"

    def present(self, certificate: str | None = None) -> None:
        """Let the manager interface show this certificate from now on.

        :param certificate: with its key, in PEM; by default one that is right for the PBX's address and MANAGER_NAME
        """
        if certificate is None:
            certificate = self.authority.issue(self.pbx.address, MANAGER_NAME)
        (self.folder / "pbx" / "lab" / "manager.pem").write_text(certificate)
        self.pbx.reload_manager()

    def connect(self, caller: str, number: str, callee: str | None = None) -> None:
        """Make a call between two phones and return when Asterisk has connected both sides to each other.

        :param caller: a phone
        :param number: what it dials
        :param callee: the phone that answers; the one named like the number by default
        """
        callee = number if callee is None else callee
        call = self.phone(caller).dial(number)
        self.phone(callee).answer()
        self.phone(caller).wait_for_state(call, "established")
        # The phones know of it before Asterisk has put their channels into a bridge, and who transfers by then fails.
        self.pbx.wait_until(
            lambda: all(any(one.bridge for one in self.pbx.channels_of(phone)) for phone in (caller, callee)),
            CLEAN_SECONDS,
            f"{caller} and {callee} to be connected",
        )

    def wait_until_keys_are_read(self, name: str, during: str | None = None, timeout: float = KEYS_SECONDS) -> None:
        """Wait until Asterisk reads the keys that a phone presses, where an AGI program has its call.

        :param name: of the phone
        :param during: the AGI command that is to read them; by default one that waits for keys
        :param timeout: seconds
        :raises WaitTimeout: the program never asked for one
        """
        waiting.wait_until(
            lambda: self._agi.reads_keys(name, during),
            timeout,
            f"Asterisk to read the keys of {name}",
            describe=lambda: self._agi.describe(name),
        )

    def on_a_running_machine(self, seconds: float, since: float) -> float:
        """Tell how long something may take that takes this long on a machine that runs.

        What goes through two processes waits for a processor twice.

        :param seconds: of the promise
        :param since: when it began, in seconds since 1970
        """
        return seconds + 2 * self._stalls.seconds(since - STALLS_SECONDS, since + STALLS_SECONDS)

    def hear(self, seconds: float = LISTEN_SECONDS, *, settle: float = SETTLE_SECONDS) -> Hearing:
        """Measure who hears whom from now on: only sound that arrives after this moment counts.

        :param seconds: how long to listen
        :param settle: seconds before that which are not counted, for sound that is still under way
        :returns: one row for every phone that is switched on
        """
        begin = time.time() + settle
        return self.heard_between(begin, begin + seconds)

    def heard_between(self, begin: float, end: float) -> Hearing:
        """Measure who heard whom between two moments (seconds since 1970), of which the second may be to come.

        :returns: one row for every phone that is switched on
        """
        self._wait_for_packets(end)
        sounds = self.capture.sound_at(begin, end - begin)
        listeners = {name: sounds.get(name, []) for name, phone in self.phones.items() if phone.is_on}
        return measure(listeners, TONES_HZ, end - begin)

    def last_heard(self, listener: str, speakers: Collection[str], since: float) -> float:
        """Tell when a phone was last sent a packet with the tone of one of these speakers, in seconds since 1970.

        :param since: a moment; it is returned when there was no such packet after it
        """
        self._wait_for_packets(time.time())
        heard = [
            packet.arrived
            for packet in self.capture.packets_since(since)
            if endpoint_of_rtp_port(packet.destination_port) == listener
            and packet.payload_type == PAYLOAD_ULAW
            and _is_from(ulaw_to_linear(packet.payload), speakers)
        ]
        return max(heard, default=since)

    def wait_for_hearing(
        self, expected: Mapping[str, Collection[str]], timeout: float = HEARING_SECONDS, *, others_silent: bool = True
    ) -> Hearing:
        """Measure until each listener hears exactly the speakers named.

        :param expected: listener -> speakers (phones, or `music`); an empty collection is silence
        :param timeout: seconds until the last measurement is an error
        :param others_silent: phones that are not named must hear nothing
        :raises WaitTimeout: it never came to that; the message shows the last matrix
        """
        deadline = time.monotonic() + timeout
        while True:
            hearing = self.hear()
            wanted = {**dict.fromkeys(hearing.levels, ()), **expected} if others_silent else dict(expected)
            problem = "the matrix is another one"
            try:
                if hearing.matches(wanted):
                    return hearing
            except Unclear as error:
                problem = str(error).splitlines()[0]
            if time.monotonic() >= deadline:
                wish = ", ".join(f"{who}: {sorted(speakers) or 'nobody'}" for who, speakers in expected.items())
                raise WaitTimeout(
                    f"on Asterisk {self.version} {problem}; expected {wish}; measured:\n{hearing.table()}"
                )

    def reset(self) -> None:
        """Return to a clean state: no channel, no call, phones on and off as at the start, genuine caller ids."""
        self.pbx.hangup_all()
        self._agi.listen()
        for name, phone in self.phones.items():
            if not phone.is_on:
                if name in self._first_phones:
                    phone.restart()
                continue
            phone.wait_until_idle()
            if name not in self._first_phones:
                phone.switch_off()
            elif not phone.is_genuine:
                phone.restart()
            elif phone.auto_answer:
                phone.set_auto_answer(False)
            phone.forget()

    def save_evidence(self, folder: Path) -> Path:
        """Copy what a post-mortem needs: the PBX's log, the phones' logs, packets, and a recording for each phone."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copytree(self.folder / "pbx" / "log", folder / "asterisk", dirs_exist_ok=True)
        shutil.copytree(self.folder / "pbx" / "agi-monitor", folder / "dialplan", dirs_exist_ok=True)
        shutil.copy(self.capture.path, folder / "rtp.pcap")
        for name, phone in self.phones.items():
            log = phone.folder / "baresip.log"
            if log.exists():
                shutil.copy(log, folder / f"phone-{name}.log")
        _write_recordings(self.capture, folder)
        return folder

    # Inside

    def _start(self) -> None:
        images = ensure_images((ASTERISK[self.version], PHONES))
        remove_leftovers()
        CACHE.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"asterisk-{self.version}-", dir=CACHE))
        if not self.keep:
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            (self.folder / OWNER).write_text(_labels()[LABEL])
        self.passwords = {name: secrets.token_urlsafe(12) for name in ENDPOINTS}
        self.manager_secrets = {name: secrets.token_urlsafe(24) for name in MANAGER_ACCOUNTS}
        self._write_pbx_folder()
        network = Network(docker_network_kw={"driver": "bridge", "labels": _labels()})
        self._stack.enter_context(network)
        pbx_container = (
            _container(self.image or images[ASTERISK[self.version]], network)
            .with_volume_mapping(str(self.folder / "pbx" / "lab"), "/etc/asterisk/lab", "ro")
            .with_volume_mapping(str(self.folder / "pbx" / "sounds" / "lab"), "/usr/share/asterisk/sounds/lab", "ro")
            .with_volume_mapping(str(self.folder / "pbx" / "log"), "/var/log/asterisk", "rw")
            .with_volume_mapping(str(self.folder / "pbx" / "run"), "/var/run/asterisk", "rw")
            .with_volume_mapping(str(self.folder / "pbx" / "site"), "/etc/asterisk/site", "rw")
            .with_network_aliases(MANAGER_NAME)
            .waiting_for(
                ExecWaitStrategy(["asterisk", "-rx", "core waitfullybooted"])
                .with_startup_timeout(ASTERISK_START_SECONDS)
                .with_poll_interval(0.1)
            )
        )
        if self.image is None:
            generated = self.folder / "pbx" / "agi-monitor"
            pbx_container = pbx_container.with_volume_mapping(str(generated), "/etc/asterisk/agi-monitor", "ro")
        if self.site:
            links = " && ".join(f"ln -sf /etc/asterisk/site/{_name(path)} {_path(path)}" for path in self.site)
            pbx_container = pbx_container.with_command(["sh", "-c", f"{links} && exec asterisk -f -n -vvv"])
        if self.publish is not None:
            self._publish(self.publish, network, pbx_container)
        capture_file = self.folder / "phones" / "rtp.pcap"
        last_port = RTP_PORT + RTP_PORTS_EACH * (len(ENDPOINTS) + 1) - 1
        phone_container = (
            _container(images[PHONES], network)
            .with_volume_mapping(str(self.folder / "phones"), "/phones", "rw")
            .with_volume_mapping(str(_tones()), "/tones", "ro")
            .with_command(
                # Room for 10,000 packets: while the machine is busy, none may be lost. One of sound has 230 bytes.
                "tcpdump -i eth0 -Z root --immediate-mode -U -s 512 -B 8192 -w /phones/rtp.pcap "
                f"udp and portrange {RTP_PORT}-{last_port}"
            )
            .waiting_for(FileExistsWaitStrategy(capture_file).with_startup_timeout(20).with_poll_interval(0.05))
        )
        with ThreadPoolExecutor(2) as pool:
            started = [pool.submit(self._stack.enter_context, one) for one in (pbx_container, phone_container)]
        try:
            for one in started:
                one.result()
        except TimeoutError as error:
            raise LabError(f"Asterisk {self.version} or its phones did not start: {str(error)[:500]}") from error
        # What root in the containers wrote must not stay undeletable for another user.
        for folder in ("/var/log/asterisk", "/var/run/asterisk"):
            self._stack.callback(_open_to_all, pbx_container, folder)
        self._stack.callback(_open_to_all, phone_container, "/phones")
        address, gateway = _addresses(pbx_container, network)
        self.pbx = Asterisk(pbx_container, self.version, address, gateway, self.folder / "pbx")
        self.present()
        self._stalls = self._stack.enter_context(Stalls())
        self._agi = self._stack.enter_context(AgiCommands(self))
        logs = [self.folder / "phones" / name / "baresip.log" for name in ENDPOINTS]
        self.capture = RtpCapture(capture_file, Decrypter(lambda: keys_in(logs)) if self.encrypted else None)
        phones_address, _ = _addresses(phone_container, network)
        for name, endpoint in ENDPOINTS.items():
            self.phones[name] = Phone(
                endpoint,
                self.folder / "phones" / name,
                phones_address,
                address,
                self.passwords[name],
                _baresip_in(phone_container),
                self.capture,
                MANAGER_NAME if self.encrypted else None,
                self.wait_until_keys_are_read,
            )
        self._stack.callback(self._switch_off_phones)
        with ThreadPoolExecutor(len(self._first_phones) or 1) as pool:
            list(pool.map(lambda name: self.phones[name].switch_on(), self._first_phones))

    def _switch_off_phones(self) -> None:
        for phone in self.phones.values():
            try:
                phone.switch_off()
            except (PhoneError, WaitTimeout):
                continue  # the container goes anyway

    def _write_pbx_folder(self) -> None:
        lab = self.folder / "pbx" / "lab"
        site = self.folder / "pbx" / "site"
        mounted = (self.folder / "pbx" / name for name in ("agi-monitor", "log", "run"))
        for folder in (lab / "music", site, *mounted):
            folder.mkdir(parents=True)
        (self.folder / "phones").mkdir()
        for path, content in self.site.items():
            (site / _name(path)).write_bytes(content if isinstance(content, bytes) else content.encode())
            if "/" not in path:
                (self.folder / "pbx" / path).symlink_to(Path("site") / path)
        (self.folder / "phones" / "ca.pem").write_text(self.authority.pem)
        (lab / "pbx.pem").write_text(self.authority.issue(MANAGER_NAME))
        (lab / "pjsip_auth.conf").write_text(
            "".join(
                f"[{name}]\ntype = auth\nauth_type = userpass\nusername = {name}\npassword = {password}\n\n"
                for name, password in self.passwords.items()
            )
        )
        sees = {ACCOUNT: "agi"}
        (lab / "manager_accounts.conf").write_text(
            "".join(
                f"[{name}]\nsecret = {secret}\nread = {sees.get(name, 'call,agent,user,system')}\n"
                f"write = {MANAGER_ACCOUNTS[name]}\n\n"
                for name, secret in self.manager_secrets.items()
            )
        )
        self.ca_file.write_text(self.authority.pem)
        # Its address is not known before it runs.
        (lab / "manager.pem").write_text(self.authority.issue(MANAGER_NAME))
        _write_wave(lab / "music" / "music.wav", sine(MUSIC_TONE_HZ, 1), repeat=60)
        notice = self.folder / "pbx" / "sounds" / f"{NOTICE_SOUND}.wav"
        notice.parent.mkdir(parents=True)
        _write_wave(notice, sine(NOTICE_TONE_HZ, 1))

    def _publish(self, address: str, network: Network, pbx: DockerContainer) -> None:
        """Let softphones on other machines in, by an address of this host."""
        client = engine_client()
        try:
            subnet = client.networks.get(network.name).attrs["IPAM"]["Config"][0]["Subnet"]
        finally:
            client.close()
        lab = self.folder / "pbx" / "lab"
        # They must be told this host's address, not the container's, unless they are in the laboratory.
        (lab / "pjsip_transport.conf").write_text(
            f"external_media_address = {address}\nexternal_signaling_address = {address}\nlocal_net = {subnet}\n"
        )
        (lab / "rtp.conf").write_text(f"rtpend = {PUBLISHED_RTP[-1]}\n")
        # docker takes an address with the port; testcontainers' own method takes the port alone.
        ports: dict[str, Any] = pbx.ports
        ports.update({f"{port}/udp": (address, port) for port in (5060, *PUBLISHED_RTP)})

    def _wait_for_packets(self, moment: float) -> None:
        """Wait until everything that arrived before a moment (seconds since 1970) is in the capture file."""
        waiting.wait_until(
            lambda: time.time() >= moment + LATE_SECONDS,
            max(0.0, moment - time.time()) + 2 * LATE_SECONDS + 1.0,
            "the time of listening to pass",
        )


def remove_leftovers() -> None:
    """Remove containers, networks and folders of laboratories on this host whose program is gone."""
    CACHE.mkdir(parents=True, exist_ok=True)
    # One at a time: two laboratories that start together would take away each other's leftovers half-way.
    with (CACHE / "leftovers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = engine_client()
        try:
            mine = {"label": [LABEL, f"{LABEL_HOST}={socket.gethostname()}"]}
            # A laboratory of another checkout may be going away right now.
            for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
                if not _is_alive(container.labels.get(LABEL, "")):
                    with suppress(NotFound):
                        container.remove(force=True, v=True)
            for network in client.networks.list(filters=mine):
                if not _is_alive(network.attrs.get("Labels", {}).get(LABEL, "")):
                    with suppress(NotFound):
                        network.remove()
        finally:
            client.close()
    for owner in CACHE.glob(f"*/{OWNER}"):
        if not _is_alive(owner.read_text()):
            shutil.rmtree(owner.parent, ignore_errors=True)


def _labels() -> dict[str, str]:
    return {LABEL: f"{os.getpid()} {_start_of(os.getpid())}", LABEL_HOST: socket.gethostname()}


def _is_alive(owner: str) -> bool:
    pid, _, start = owner.partition(" ")
    return pid.isdigit() and _start_of(int(pid)) == start


def _start_of(pid: int) -> str:
    """Tell when a process started, in clock ticks since boot: together with its number it is unique."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _path(path: str) -> str:
    return path if path.startswith("/") else f"/etc/asterisk/{path}"


def _container(image: str, network: Network) -> DockerContainer:
    return DockerContainer(image, labels=_labels(), init=True).with_network(network)


def _addresses(container: DockerContainer, network: Network) -> tuple[str, str]:
    """Tell a container's own address and its gateway, which is this host."""
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    settings: dict[str, Any] = wrapped.attrs["NetworkSettings"]["Networks"][network.name]
    return settings["IPAddress"], settings["Gateway"]


def _baresip_in(container: DockerContainer) -> Callable[[str], None]:
    def start(name: str) -> None:
        # -s writes every SIP message: evidence, and the only place that tells a dialogue's tags.
        line = f"exec baresip -s -f /phones/{name} >/phones/{name}/baresip.log 2>&1 </dev/null"
        container.get_wrapped_container().exec_run(["sh", "-c", line], detach=True)

    return start


def _open_to_all(container: DockerContainer, folder: str) -> None:
    container.exec(["chmod", "-R", "a+rwX", folder])


def _tones() -> Path:
    """Make the phones' voices, once; they are the same for every laboratory."""
    folder = CACHE / "tones"
    for hz in TONES_HZ.values():
        path = folder / f"{hz}.wav"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(f".{os.getpid()}")
            _write_wave(fresh, sine(hz, 1), repeat=SPEECH_SECONDS)
            fresh.replace(path)  # another laboratory may be starting at the same time
    return folder


def _write_wave(path: Path, samples: list[int], repeat: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(array("h", samples).tobytes() * repeat)


def _is_from(samples: Sequence[int], speakers: Collection[str]) -> bool:
    """Tell whether a packet's sound is that of one of these speakers."""
    # Their own tones first: most packets have none of them, and need no look at all the others.
    return any(has_tone(samples, TONES_HZ[speaker]) for speaker in speakers) and not tones_in(
        samples, TONES_HZ
    ).isdisjoint(speakers)


def _write_recordings(capture: RtpCapture, folder: Path) -> None:
    """Write for each phone and stream what was sent to it; gaps are left out."""
    streams: dict[tuple[str, int], list[int]] = {}
    for packet in capture.all_packets():
        phone = endpoint_of_rtp_port(packet.destination_port)
        if phone is not None and packet.payload_type == PAYLOAD_ULAW:
            streams.setdefault((phone, packet.source), []).extend(ulaw_to_linear(packet.payload))
    for number, ((phone, _), samples) in enumerate(streams.items(), start=1):
        _write_wave(folder / f"heard-by-{phone}-{number:02}.wav", samples)

"""agi_monitor.doctor: what stands in Asterisk's files, and what an install has left there."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Message
from agi_monitor.config import translation
from agi_monitor.config.loading import load
from agi_monitor.config.people import Tenant
from agi_monitor.config.sections import Config
from agi_monitor.dialplan.render import render
from agi_monitor.doctor import gathering
from agi_monitor.doctor.checks import CHECKS
from agi_monitor.doctor.evidence import Endpoint, Evidence, Missing, NotKnown
from agi_monitor.doctor.file_contexts import file_contexts
from agi_monitor.doctor.findings import Outcome, examine
from agi_monitor.errors import ActionFailed, PermissionDenied
from agi_monitor.install import plan
from tests.doubles.desk import PIN_HASH

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A small site."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text(
        "supervisors: {}\nrules: []\n"
        f"agents:\n  1001: {{endpoints: [PJSIP/1001], groups: [sales]}}\nstate: {{directory: {tmp_path}/state}}\n"
        f"audit: {{file: {tmp_path}/audit.jsonl}}\n"
    )
    return load(path).config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Asterisk's, with the two files that every PBX has."""
    folder = tmp_path / "asterisk"
    folder.mkdir()
    (folder / "asterisk.conf").write_text("[options]\nsystemname = pbx\n")
    (folder / "manager.conf").write_text("[general]\nenabled = yes\n")
    return folder


def test_contexts_of_files(folder: Path) -> None:
    """Of peers, queues, mailboxes and parking, in included files too; not those of the dialplan or of comments."""
    (folder / "sip.d").mkdir()
    (folder / "sip.d" / "trunks.conf").write_text("[isdn]\ncontext = from-isdn ; not from-comment\n")
    (folder / "queues.conf").write_text(
        "[500]\ncontext=>leave-queue\nmember => Local/1001@agents/n,0\n;context = from-comment\n"
    )
    (folder / "voicemail.conf").write_text("[general]\nexitcontext=vm-exit\ndialout = vm-out\ncallback=vm-back\n")
    (folder / "extensions.conf").write_text("[x]\ncontext = of-the-dialplan\n")
    found = file_contexts(folder)
    assert sorted(found) == ["agents", "from-isdn", "leave-queue", "vm-back", "vm-exit", "vm-out"]
    assert found["from-isdn"] == f"{folder}/sip.d/trunks.conf:2"


def test_a_folder_of_no_pbx(tmp_path: Path) -> None:
    """Nothing is known of where calls come in, which is another thing than that there is no such place."""
    with pytest.raises(NotKnown, match=r"there is no asterisk\.conf"):
        file_contexts(tmp_path)


def test_files(config: Config, folder: Path) -> None:
    """In their order; one that need not be there is empty, and what was not understood is told without its text."""
    (folder / "manager.conf").write_text(
        "[general]\nenabled = yes\n[base](!)\nwrite = call\n[joe](base)\nsecret = x\npermit = 10.0.0.0/8\n"
        "deny = 10.1.0.0/16\nhunter2\n#exec /bin/accounts\n"
    )
    evidence = gathering.of_files(Evidence(NOW), config, folder)
    assert evidence.file("manager.conf")["joe"] == [
        ("write", "call"),
        ("secret", "x"),
        ("permit", "10.0.0.0/8"),
        ("deny", "10.1.0.0/16"),
    ]
    assert evidence.file("ari.conf") == {}
    assert [line.rpartition("/")[2] for line in evidence.not_understood] == [
        "manager.conf:9: no name and value",
        "manager.conf:10: #exec is not followed",
    ]
    (folder / "asterisk.conf").unlink()
    without = gathering.of_files(Evidence(NOW), config, folder)
    assert isinstance(without.files["asterisk.conf"], Missing)
    assert isinstance(without.file_contexts, Missing)


@pytest.mark.parametrize("comment", [";;-- Panels", "; x ;-- y", "x = \\;-- y"])
def test_an_account_behind_what_looks_like_a_comment(config: Config, folder: Path, comment: str) -> None:
    """Asterisk loads it, so the checks see it."""
    (folder / "manager.conf").write_text(
        f"[general]\nenabled = yes\nbindaddr = 0.0.0.0\n{comment}\n[panel]\nsecret = amp111\nwrite = all\n"
    )
    evidence = gathering.of_files(Evidence(NOW), config, folder)
    wanted = {"ami-secret", "ami-others", "ami-address"}
    results = examine([check for check in CHECKS if check.id in wanted], evidence)
    assert {result.check.id for result in results if result.outcome is Outcome.FOUND} == wanted


def test_the_first_section_of_settings_counts(config: Config, folder: Path) -> None:
    """Asterisk asks for [general] by its name and gets the first; a second one must not make things look well."""
    (folder / "manager.conf").write_text(
        "[General]\nenabled = yes\nbindaddr = 0.0.0.0\n[general]\nbindaddr = 127.0.0.1\n"
    )
    evidence = gathering.of_files(Evidence(NOW), config, folder)
    assert evidence.file("manager.conf") == {"general": [("enabled", "yes"), ("bindaddr", "0.0.0.0")]}


def test_a_file_that_asterisk_refuses(config: Config, folder: Path) -> None:
    """Nothing is known of what the PBX runs with, so no check of it says that all is well."""
    (folder / "manager.conf").write_text("[general]\nenabled = no\n\\\n[panel]\n")
    evidence = gathering.of_files(Evidence(NOW), config, folder)
    why = f"{folder}/manager.conf:3: a backslash that escapes nothing; Asterisk refuses the whole file"
    assert evidence.files["manager.conf"] == Missing(why)
    (result,) = examine([check for check in CHECKS if check.id == "ami-address"], evidence)
    assert (result.outcome, result.evidence) == (Outcome.NOT_CHECKED, (why,))


def test_files_that_are_none(config: Config, folder: Path) -> None:
    """A pipe is not waited for, a device is not read, and what cannot be read is not fine."""
    (folder / "asterisk.conf").unlink()
    (folder / "asterisk.conf").write_text("[options]\n")
    (folder / "manager.conf").unlink()
    (folder / "manager.conf").symlink_to("/dev/zero")
    os.mkfifo(folder / "http.conf")
    os.mkfifo(folder / "sip.conf")
    (folder / "pjsip.conf").write_text("[t0](!)\nx=1\n" + "".join(f"[t{n + 1}](!,t{n},t{n})\n" for n in range(40)))
    evidence = gathering.of_files(Evidence(NOW), config, folder)
    for name in ("manager.conf", "http.conf"):
        assert evidence.files[name] == Missing(f"{folder / name}: not a regular file")
    pjsip = evidence.files["pjsip.conf"]
    assert isinstance(pjsip, Missing)
    assert "with their templates, the sections have more than" in pjsip.why
    assert evidence.file_contexts == {}


def test_a_folder_with_too_much_in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says so, and does not say that there are no contexts."""
    monkeypatch.setattr("agi_monitor.doctor.file_contexts.MAX_FILES", 1)
    with pytest.raises(NotKnown, match="there are more than 1 files in it"):
        file_contexts(folder)
    monkeypatch.undo()
    monkeypatch.setattr("agi_monitor.doctor.file_contexts.MAX_BYTES", 10)
    with pytest.raises(NotKnown, match="the files have more than 10 bytes together"):
        file_contexts(folder)


def test_files_of_an_install(config: Config, folder: Path) -> None:
    """Each that is not what the configuration gives; nothing where nothing was installed."""
    assert gathering.of_files(Evidence(NOW), config, folder).file_differences == ()
    rendered = render(translation.site(config), config.dialplan.templates)
    (folder / plan.FOLDER).mkdir()
    for name, text in rendered.items():
        (folder / plan.FOLDER / name).write_text(text)
    assert gathering.of_files(Evidence(NOW), config, folder).file_differences == ()
    (folder / plan.FOLDER / "agi-monitor.conf").write_text("[agi-monitor]\n")
    (folder / plan.FOLDER / "extensions.conf.sample").unlink()
    assert [
        line.rpartition("/")[2] for line in gathering.of_files(Evidence(NOW), config, folder).file_differences
    ] == [
        "agi-monitor.conf: is not what the configuration gives",
        "extensions.conf.sample: No such file or directory",
    ]


def test_a_store_that_no_server_has_made_yet_is_no_error(config: Config, folder: Path, tmp_path: Path) -> None:
    """The first look of all comes before the first start; once a server has run, a store that is gone is one."""
    new = config.model_copy(update={"state": config.state.model_copy(update={"directory": tmp_path / "state"})})
    (tmp_path / "state").mkdir()
    found = gathering.of_house(Evidence(NOW), new, folder).store
    assert found == Missing(
        f"{tmp_path}/state/agi-monitor.db: it is not there yet; the server makes it when it starts"
    )
    (tmp_path / "state" / "audit-head.json").write_text("{}")
    lost = gathering.of_house(Evidence(NOW), new, folder).store
    assert isinstance(lost, str)
    assert "it is not there" in lost


def test_a_certificate_that_is_not_there(config: Config, folder: Path) -> None:
    """Is not fine."""
    (folder / "http.conf").write_text("[general]\ntlsenable = yes\ntlscertfile = /nowhere/http.pem\n")
    evidence = gathering.of_house(gathering.of_files(Evidence(NOW), config, folder), config, folder)
    assert evidence.certificates == Missing("http.conf: /nowhere/http.pem: No such file or directory")


@pytest.mark.parametrize(
    ("name", "found"), [("pbx", {}), ("Call Center 1", {}), ("Sales, Berlin", {"Sales, Berlin": ","}), ("", {})]
)
def test_system_names_that_cannot_be_used(config: Config, folder: Path, name: str, found: dict[str, str]) -> None:
    """By the file, besides what the PBX says of itself; it may have been changed since the PBX began."""
    (folder / "asterisk.conf").write_text(f"[options]\nsystemname = {name}\n")
    assert gathering.of_files(Evidence(NOW), config, folder).unusable_names == found
    running = Evidence(NOW, unusable_names={"a|b": "|"})
    assert gathering.of_files(running, config, folder).unusable_names == {"a|b": "|", **found}


DETAIL = """\
Event: EndpointDetail
ObjectType: endpoint
ObjectName: {name}
NamedPickupGroup: a, b
PickupGroup: 1, 2
NamedCallGroup:
Context: phones
CallGroup: 3
Callerid: {caller}
TrustIdInbound: {trusted}
AllowTransfer: {transfer}
DirectMedia: false
"""
"""As Asterisk 16.28 and 22.10.1 wrote it for an endpoint, but for what no check looks at."""


@pytest.mark.parametrize(
    ("caller", "trusted", "takes_number"),
    [
        ('"Anna" <1001>', "false", False),
        ("<unknown>", "false", True),
        ('"Anna" <unknown>', "false", True),
        ('"Anna" <1001>', "true", True),
    ],
)
def test_an_endpoint_of_the_pbx(caller: str, trusted: str, takes_number: bool) -> None:
    """What it may do, and whether its number is what the caller sends."""
    text = DETAIL.format(name="1001", caller=caller, trusted=trusted, transfer="true")
    detail = Message.from_wire("\r\n".join(text.splitlines()).encode(), AMILimits())
    assert gathering.endpoint("1001", detail) == Endpoint(
        "PJSIP/1001",
        "phones",
        direct_media=False,
        allow_transfer=True,
        takes_number=takes_number,
        call_groups=frozenset({"3"}),
        pickup_groups=frozenset({"1", "2", "named a", "named b"}),
    )


class Queues:
    """A PBX that lists these queue members, or refuses to."""

    def __init__(self, *locations: str, refusal: ActionFailed | None = None) -> None:
        self._locations = locations
        self._refusal = refusal

    def ask(self, name: str, *headers: tuple[str, str]) -> Message:
        """Fail: only lists are asked for here."""
        raise AssertionError(name)

    def items(self, name: str, *headers: tuple[str, str]) -> list[Message]:
        """The members, behind their queue."""
        assert name == "QueueStatus"
        if self._refusal is not None:
            raise self._refusal
        members = [Message((("Event", "QueueMember"), ("Location", one))) for one in self._locations]
        return [Message((("Event", "QueueParams"),)), *members]


class NoEndpoints(Queues):
    """A PBX without endpoints of PJSIP, or one that does not let us see them."""

    def items(self, name: str, *headers: tuple[str, str]) -> list[Message]:
        """Refuse the list, as Asterisk does when it is empty."""
        assert name == "PJSIPShowEndpoints"
        assert self._refusal is not None
        raise self._refusal


def test_a_pbx_without_endpoints() -> None:
    """Has none: that is an answer. Any other error is not."""
    assert gathering._endpoints(NoEndpoints(refusal=ActionFailed("PJSIPShowEndpoints", "No endpoints found"))) == ()
    for refusal in (
        ActionFailed("PJSIPShowEndpoints", "x"),
        PermissionDenied("PJSIPShowEndpoints", "no", ("system",)),
    ):
        with pytest.raises(ActionFailed):
            gathering._endpoints(NoEndpoints(refusal=refusal))


def test_files_with_pins_that_everyone_may_read(config: Config, folder: Path, tmp_path: Path) -> None:
    """An export of an earlier version, or a copy; not those of their owner, and not what has no PIN in it."""
    for name, mode in (("people.yaml", 0o644), ("own.yaml", 0o600), ("group.yaml", 0o640), ("open.yaml", 0o606)):
        (folder / name).write_text(f"pin: {PIN_HASH}\n")
        (folder / name).chmod(mode)
    (folder / "other.yaml").write_text("pin: none\n")
    (folder / "link.yaml").symlink_to("people.yaml")
    os.mkfifo(folder / "fifo.yaml")
    assert gathering.of_house(Evidence(NOW), config, folder).open_files == (
        f"{folder}/open.yaml: has records of PINs, and mode 0606",
        f"{folder}/people.yaml: has records of PINs, and mode 0644",
    )


def test_agents_whom_queues_reach_by_several_contexts(config: Config) -> None:
    """On a PBX without tenants; a number without an agent does not matter."""
    two = Queues("Local/1001@acme/n", "Local/1001@beta", "Local/7@acme", "Local/7@beta", "PJSIP/1001")
    assert gathering._queue_contexts(two, config) == {"1001": {"acme", "beta"}}
    assert gathering._queue_contexts(Queues("Local/1001@acme/n", "Local/1001@acme"), config) == {}
    named = config.model_copy(update={"tenants": {"acme": Tenant(contexts=("acme",))}})
    assert gathering._queue_contexts(two, named) == {}
    assert gathering._queue_contexts(Queues(refusal=ActionFailed("QueueStatus", "no such action")), config) == {}
    with pytest.raises(ActionFailed):
        gathering._queue_contexts(Queues(refusal=ActionFailed("QueueStatus", "too long", has_begun=True)), config)


def test_a_folder_of_sounds_that_leads_nowhere(config: Config, folder: Path) -> None:
    """Too long a name is not a folder, and no reason to fail."""
    (folder / "asterisk.conf").write_text(f"[directories]\nastdatadir => /{'a' * 300}\n")
    found = gathering.of_files(Evidence(NOW, sounds={"en": frozenset({"beep"})}), config, folder).sound_files
    assert isinstance(found, dict | Missing)


def test_folders_within_one_another_without_an_end(config: Config, folder: Path, tmp_path: Path) -> None:
    """They are not followed for ever, neither in the sounds nor in Asterisk's own folder."""
    for base in (tmp_path, folder):
        base.joinpath("sounds", "en", *["a"] * 40).mkdir(parents=True)
    (folder / "asterisk.conf").write_text(f"[directories]\nastdatadir => {tmp_path}\n")
    found = gathering.of_files(Evidence(NOW, sounds={"en": frozenset({"beep"})}), config, folder)
    for missing in (found.sound_files, found.file_contexts):
        assert isinstance(missing, Missing)
        assert "there are more than 32 folders within one another" in missing.why


def test_sounds_by_their_names(config: Config, folder: Path, tmp_path: Path) -> None:
    """In folders too; a language without a folder has none, and a link that leads to itself is not a sound."""
    (tmp_path / "sounds" / "en" / "digits").mkdir(parents=True)
    (tmp_path / "sounds" / "en" / "digits" / "1.gsm").write_text("")
    (tmp_path / "sounds" / "en" / "loop.gsm").symlink_to("loop.gsm")
    (folder / "asterisk.conf").write_text(f"[directories]\nastdatadir => {tmp_path}\n")
    evidence = Evidence(NOW, sounds={"en": frozenset({"beep"}), "de": frozenset({"beep"})})
    found = gathering.of_files(evidence, config, folder).sound_files
    assert found == {"en": frozenset({"digits/1"}), "de": frozenset()}

"""What the administrator decides, and the configuration that is made of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agi_monitor import names
from agi_monitor.config import yaml
from agi_monitor.model import Flavour
from agi_monitor.setup.surroundings import Surroundings

GROUP = "leads"
"""The supervisors' group."""

HEADER = """\
# agi-monitor: who may listen to, whisper to or barge into whose calls. Made by "agi-monitor setup".
# Check it after every change with:  agi-monitor check-config
# and tell the server of it with:    agi-monitor reload
# Every key and its default:         docs/reference/configuration.md
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """Who supervises whom.

    Parameters:
        supervisor: an id for the rules and the audit.
        phone: the extension of the supervisor's phone.
        agents: extensions whose calls may be heard.
    """

    supervisor: str
    phone: str
    agents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is made at random, and is shown in no text of this object.

    Parameters:
        pin: the record of the supervisor's PIN.
        manager: the secret of the account at the manager interface.
    """

    pin: str
    manager: str

    def __repr__(self) -> str:
        return "Secrets(...)"


def problems(answers: Answers, found: Surroundings) -> list[str]:
    """Return what is wrong with the answers, a sentence each."""
    phones = (phone_problem(one, found) for one in (answers.phone, *answers.agents))
    wrong = [problem for problem in (id_problem(answers.supervisor), *phones) if problem]
    if not answers.agents:
        wrong.append("there is not one agent whose calls may be heard")
    return wrong


def id_problem(supervisor: str) -> str:
    """Return why this cannot be the id of a supervisor; empty when it can."""
    if names.NAME.fullmatch(supervisor):
        return ""
    return f"{supervisor!r} cannot be an id: use up to 40 letters, digits, _ and -"


def phone_problem(extension: str, found: Surroundings) -> str:
    """Return why this cannot be the extension of a phone; empty when it can."""
    if found.devices(extension):
        return ""
    return f"{extension!r} is not an extension with a phone that was found: {', '.join(found.agents) or 'none'}"


def context_of(answers: Answers, found: Surroundings) -> str:
    """Return the context that the supervisor's phone dials from; empty when it is not known."""
    phones = (found.phones.get(device) for device in found.devices(answers.phone))
    return next((phone.context for phone in phones if phone is not None and phone.context), "")


def phones_context(answers: Answers, found: Surroundings) -> str:
    """Return the context of the site that the supervisor's own one includes; empty when it is not known."""
    context = context_of(answers, found)
    return "" if context.startswith("agi-monitor") else context


def configuration(answers: Answers, found: Surroundings, secrets: Secrets) -> str:
    """Return the text of the configuration file.

    Parameters:
        answers: without a problem.
        found: what they are about.
        secrets: of this site.
    """
    supervisor: dict[str, object] = {
        "endpoints": list(found.devices(answers.phone)),
        "pin": secrets.pin,
        "groups": [GROUP],
    }
    name = found.agents[answers.phone].get("name")
    if name:
        supervisor = {"name": name, **supervisor}
    parts: list[tuple[str, dict[str, object]]] = [
        ("Who supervises. A new PIN: agi-monitor pin", {"supervisors": {answers.supervisor: supervisor}}),
        ("Whose calls may be heard", {"agents": {one: dict(found.agents[one]) for one in answers.agents}}),
        (
            "Deny beats allow; nothing is allowed without a rule",
            {
                "rules": [
                    {
                        "name": f"{GROUP}-supervise",
                        "allow": ["listen", "whisper", "barge"],
                        "supervisors": [GROUP],
                        "agents": ["all"],
                    }
                ]
            },
        ),
    ]
    asterisk: dict[str, object] = {}
    if found.flavour is not Flavour.PLAIN:
        asterisk["flavour"] = found.flavour.value
    if context := phones_context(answers, found):
        asterisk["phones"] = context
    if asterisk:
        parts.append(("Where the phones dial from", {"asterisk": asterisk}))
    if found.manager is not None:
        manager = {"host": found.manager.host, "port": str(found.manager.port), "secret": secrets.manager}
        parts.append(("The live picture of all calls, by the account that 'install' writes", {"ami": manager}))
    return HEADER + "".join(f"\n# {comment}\n{yaml.text(part)}" for comment, part in parts)

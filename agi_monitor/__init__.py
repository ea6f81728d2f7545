"""Live call monitoring for Asterisk: listen, whisper and barge from a desk phone.

The names below are the library: FastAGI servers, plain AGI scripts and AsyncAGI from one kind of handler. They are
loaded when they are first used, so that importing this package costs nothing and chooses no reactor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agi_monitor.agi.asyncio_server import AgiServer
    from agi_monitor.agi.blocking import blocking
    from agi_monitor.agi.end_reason import EndReason
    from agi_monitor.agi.listening import AgiService, serve
    from agi_monitor.agi.menus import PlayedList
    from agi_monitor.agi.messages import AGIRequest, Command, Reply, command
    from agi_monitor.agi.pyst2 import BlockingAGI
    from agi_monitor.agi.routing import Router
    from agi_monitor.agi.script import blocking_script
    from agi_monitor.agi.session import Session
    from agi_monitor.agi.standard_streams import run_agi
    from agi_monitor.agi.verb_results import (
        ChannelState,
        DialOutcome,
        DialStatus,
        Digits,
        Playback,
        Recognition,
        Recording,
        SpeechMatch,
    )
    from agi_monitor.ami.blocking import BlockingManager
    from agi_monitor.ami.client import ManagerClient, Originated, Outcome
    from agi_monitor.ami.connection import Event
    from agi_monitor.ami.endpoints import Verification
    from agi_monitor.ami.limits import AMILimits
    from agi_monitor.ami.messages import Message
    from agi_monitor.ami.news import News, Overflow
    from agi_monitor.ami.protocol import Account, ListAnswer
    from agi_monitor.ami.states import Connecting, Down, LoggingIn, Refused, Up
    from agi_monitor.async_agi import AsyncAgiService
    from agi_monitor.errors import (
        ActionFailed,
        AgiMonitorError,
        CallEnded,
        CommandFailed,
        Disconnected,
        EventsLost,
        ForgedAnswer,
        InvalidCommand,
        LocalProtocolError,
        LoginRefused,
        NoAnswer,
        PermissionDenied,
        ProtocolError,
        RemoteProtocolError,
        WrongUsage,
    )
    from agi_monitor.limits import Limits
    from agi_monitor.pin_check import PinAnswer, PinCheck
    from agi_monitor.supervision.hooks import (
        AfterSpy,
        Asked,
        AuditWriter,
        Authorizer,
        BeforeSpy,
        PeopleStore,
        Plugin,
        PromptSet,
        TargetResolver,
    )

__version__ = "0.1.0"

__all__ = [
    "AGIRequest",
    "AMILimits",
    "Account",
    "ActionFailed",
    "AfterSpy",
    "AgiMonitorError",
    "AgiServer",
    "AgiService",
    "Asked",
    "AsyncAgiService",
    "AuditWriter",
    "Authorizer",
    "BeforeSpy",
    "BlockingAGI",
    "BlockingManager",
    "CallEnded",
    "ChannelState",
    "Command",
    "CommandFailed",
    "Connecting",
    "DialOutcome",
    "DialStatus",
    "Digits",
    "Disconnected",
    "Down",
    "EndReason",
    "Event",
    "EventsLost",
    "ForgedAnswer",
    "InvalidCommand",
    "Limits",
    "ListAnswer",
    "LocalProtocolError",
    "LoggingIn",
    "LoginRefused",
    "ManagerClient",
    "Message",
    "News",
    "NoAnswer",
    "Originated",
    "Outcome",
    "Overflow",
    "PeopleStore",
    "PermissionDenied",
    "PinAnswer",
    "PinCheck",
    "Playback",
    "PlayedList",
    "Plugin",
    "PromptSet",
    "ProtocolError",
    "Recognition",
    "Recording",
    "Refused",
    "RemoteProtocolError",
    "Reply",
    "Router",
    "Session",
    "SpeechMatch",
    "TargetResolver",
    "Up",
    "Verification",
    "WrongUsage",
    "blocking",
    "blocking_script",
    "command",
    "run_agi",
    "serve",
]

_PLACES = {
    "agi_monitor.agi.asyncio_server": ("AgiServer",),
    "agi_monitor.agi.blocking": ("blocking",),
    "agi_monitor.agi.end_reason": ("EndReason",),
    "agi_monitor.agi.listening": ("AgiService", "serve"),
    "agi_monitor.agi.menus": ("PlayedList",),
    "agi_monitor.agi.messages": ("AGIRequest", "Command", "Reply", "command"),
    "agi_monitor.agi.pyst2": ("BlockingAGI",),
    "agi_monitor.agi.routing": ("Router",),
    "agi_monitor.agi.script": ("blocking_script",),
    "agi_monitor.agi.session": ("Session",),
    "agi_monitor.agi.standard_streams": ("run_agi",),
    "agi_monitor.agi.verb_results": (
        "ChannelState",
        "DialOutcome",
        "DialStatus",
        "Digits",
        "Playback",
        "Recognition",
        "Recording",
        "SpeechMatch",
    ),
    "agi_monitor.ami.blocking": ("BlockingManager",),
    "agi_monitor.ami.client": ("ManagerClient", "Originated", "Outcome"),
    "agi_monitor.ami.connection": ("Event",),
    "agi_monitor.ami.endpoints": ("Verification",),
    "agi_monitor.ami.limits": ("AMILimits",),
    "agi_monitor.ami.messages": ("Message",),
    "agi_monitor.ami.news": ("News", "Overflow"),
    "agi_monitor.ami.protocol": ("Account", "ListAnswer"),
    "agi_monitor.ami.states": ("Connecting", "Down", "LoggingIn", "Refused", "Up"),
    "agi_monitor.async_agi": ("AsyncAgiService",),
    "agi_monitor.errors": (
        "ActionFailed",
        "AgiMonitorError",
        "CallEnded",
        "CommandFailed",
        "Disconnected",
        "EventsLost",
        "ForgedAnswer",
        "InvalidCommand",
        "LocalProtocolError",
        "LoginRefused",
        "NoAnswer",
        "PermissionDenied",
        "ProtocolError",
        "RemoteProtocolError",
        "WrongUsage",
    ),
    "agi_monitor.limits": ("Limits",),
    "agi_monitor.pin_check": ("PinAnswer", "PinCheck"),
    "agi_monitor.supervision.hooks": (
        "AfterSpy",
        "Asked",
        "AuditWriter",
        "Authorizer",
        "BeforeSpy",
        "PeopleStore",
        "Plugin",
        "PromptSet",
        "TargetResolver",
    ),
}
"""Where each name is. The same as above, for when it is asked for."""

_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> object:
    module = _PLACE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

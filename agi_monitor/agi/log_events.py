"""The names of everything this room logs. What is logged under another name is a mistake."""

from __future__ import annotations

from enum import StrEnum


class LogEvent(StrEnum):
    """The events, each with its level and its keys besides ``session`` and ``peer`` where there is one."""

    LISTENING = "agi_listening"
    """info: address."""
    CANNOT_LISTEN = "agi_cannot_listen"
    """error: error."""
    SESSION_STARTED = "agi_session_started"
    """debug: script, channel, uniqueid."""
    SESSION_ENDED = "agi_session_ended"
    """info: reason, seconds, commands."""
    SESSION_REFUSED = "agi_session_refused"
    """warning: reason (a ``Count``). Rate-bound: suppressed."""
    PEER_REFUSED = "agi_peer_refused"
    """warning: the address is not allowed. Rate-bound: suppressed."""
    CONNECTION_DROPPED = "agi_connection_dropped"
    """debug: it closed before the environment was complete; received."""
    PROTOCOL_ERROR = "agi_protocol_error"
    """warning: error. Rate-bound: suppressed."""
    DEADLINE_PASSED = "agi_deadline_passed"
    """warning: verb (empty for the environment), seconds. Rate-bound: suppressed."""
    STORY_FAILED = "agi_story_failed"
    """error: error (the type's name), traceback."""
    REACTOR_HELD = "agi_reactor_held"
    """warning: handler, script, cut; seconds. All calls stood still while that handler did not await anything: what
    takes long belongs in a thread. Rate-bound: suppressed."""
    CLEANUP_LEFT_BEHIND = "agi_cleanup_left_behind"
    """warning: seconds."""
    ROUTE_UNKNOWN = "agi_route_unknown"
    """warning: script, cut."""
    ARGUMENTS_REFUSED = "agi_arguments_refused"
    """warning: script, cut; parameter, why. The value itself is left out."""
    NO_THREAD = "agi_no_thread"
    """warning: threads; all of them run blocking scripts already, and the call was refused."""
    ASYNC_CUT = "agi_async_cut"
    """warning: channel; an environment or a reply was longer than AsyncAGI can pass on."""
    SENT = "agi_sent"
    """debug, only with a transcript: line."""
    RECEIVED = "agi_received"
    """debug, only with a transcript: verb, reply."""

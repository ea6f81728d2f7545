"""agi_monitor.ami.connection with what was never meant to be said: nothing raises but what may, nothing piles up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.ami.connection import (
    NEED_DATA,
    AMIConnection,
    Closed,
    Event,
    Forged,
    Greeting,
    ListBroken,
    ListDone,
    Response,
)
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Action
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError
from tests.doubles.conversations import ACTIONS, LISTS, REAL, SAID, VERSIONS, Said

LIMITS = AMILimits(
    max_line_bytes=2_000, max_message_bytes=9_000, max_message_lines=150, max_list_items=20, max_list_bytes=5_000
)


def ask_all(connection: AMIConnection) -> None:
    """The actions of the real conversation, in flight."""
    for number, name in enumerate(ACTIONS, start=1):
        connection.send(Action(name, (), f"t-{number}"), as_list=name in LISTS)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_conversation_is_understood(version: str) -> None:
    """What the damaged ones are made from has every answer, every item and every event."""
    connection = AMIConnection(LIMITS)
    connection.receive_data(REAL[version])
    assert isinstance(connection.next_event(), Greeting)
    ask_all(connection)
    found: list[object] = []
    while (event := connection.next_event()) is not NEED_DATA:
        found.append(event)
    answers = [event for event in found if isinstance(event, Response)]
    assert [answer.message.is_success for answer in answers] == [True] * 5 + [False, True]
    lists = {event.response.action.name: len(event.items) for event in found if isinstance(event, ListDone)}
    assert lists == {"CoreShowChannels": 2, "BridgeList": 1, "QueueStatus": lists["QueueStatus"]}
    assert lists["QueueStatus"] >= 4
    assert {"FullyBooted", "Newchannel", "BridgeEnter", "Hangup"} <= {
        event.name for event in found if isinstance(event, Event)
    }
    assert (connection.in_flight, connection.buffered, connection.strays, connection.forged) == (0, 0, 0, 0)


@given(SAID, st.none() | st.just(frozenset({"Hangup", "Newchannel"})), st.booleans())
def test_any_conversation_ends_in_events_or_in_one_error(
    said: Said, wanted: frozenset[str] | None, ends: bool
) -> None:
    """In any chunks: no more events than messages, or RemoteProtocolError, which stays; memory is bounded."""
    connection = AMIConnection(LIMITS, wanted)
    events: list[object] = []
    chunks, data = said.chunks, said.data
    largest = max(map(len, chunks), default=0)
    try:
        for chunk in chunks:
            connection.receive_data(chunk)
            while (event := connection.next_event()) is not NEED_DATA:
                events.append(event)
                if isinstance(event, Greeting):
                    ask_all(connection)
            assert connection.buffered <= LIMITS.max_message_bytes + LIMITS.max_list_bytes + largest + 4
            assert connection.in_flight <= len(ACTIONS)
        if ends:
            connection.receive_eof()
            assert connection.next_event() == Closed(len(data))
            assert connection.next_event() is NEED_DATA
            assert connection.in_flight == connection.buffered == 0
    except RemoteProtocolError as error:
        with pytest.raises(RemoteProtocolError, match=str(error)[:20]):
            connection.next_event()
        with pytest.raises(LocalProtocolError):
            connection.send(Action("Ping", (), "t-0"))
        assert connection.in_flight == connection.buffered == 0
    assert len(events) <= data.count(b"\r\n\r\n") + 1
    answered = [event.action.action_id for event in events if isinstance(event, Response)]
    ended = [event.response.action.action_id for event in events if isinstance(event, ListDone | ListBroken)]
    assert len(set(answered)) == len(answered)
    assert len(set(ended)) == len(ended)
    assert set(ended) <= set(answered)


@given(SAID)
def test_the_chunks_make_no_difference(said: Said) -> None:
    """The same bytes in one piece cause the same events and the same error."""

    def outcome(pieces: list[bytes]) -> tuple[list[object], str]:
        connection = AMIConnection(LIMITS)
        found: list[object] = []
        try:
            for piece in pieces:
                connection.receive_data(piece)
                while (event := connection.next_event()) is not NEED_DATA:
                    found.append(event)
                    if isinstance(event, Greeting):
                        ask_all(connection)
        except RemoteProtocolError as error:
            return found, str(error)
        return found, ""

    in_chunks, whole = outcome(said.chunks), outcome([said.data])
    # What stands before a forged message is dropped as well, if it was not handed over before.
    if not any(isinstance(event, Forged) for event in whole[0]):
        assert in_chunks == whole
    else:
        assert any(isinstance(event, Forged) for event in in_chunks[0])

"""Requests, and how the calls went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO

import pytest
from click_to_call import Answer, CallPage, ClickToCall
from twisted.internet.defer import Deferred
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest

from agi_monitor import Account, ManagerClient, Outcome
from agi_monitor.testing import FakeManager

SECRET = "a secret of twelve letters or more"
TOKEN = "a token that is hard to guess"
SHOWN = f"Bearer {TOKEN}"


class Office:
    """A PBX, and the program that calls its phones."""

    def __init__(self) -> None:
        self.fake = FakeManager("click-to-call", SECRET)
        account = Account("click-to-call", SECRET)
        manager = ManagerClient("pbx", account, reactor=self.fake.clock, endpoint=self.fake)
        Deferred.fromCoroutine(manager.start())
        self.fake.advance(0)
        self.calls = ClickToCall(manager, TOKEN)

    def ask(self, body: object, authorization: str = SHOWN) -> Answer:
        """A request, and its answer."""
        answers: list[Answer] = []
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        Deferred.fromCoroutine(self.calls.asked(authorization, sent)).addCallback(answers.append)
        self.fake.advance(1)
        return answers[0]

    @property
    def called(self) -> list[tuple[str, str, str]]:
        """Phones that were called: whom, and what for."""
        return [(one["Channel"], one["Context"], one["Exten"]) for one in self.fake.asked("Originate")]


@pytest.fixture
def office() -> Iterator[Office]:
    """An office; nothing went wrong in its PBX."""
    made = Office()
    yield made
    made.fake.check()


def test_a_phone_is_connected_to_a_number(office: Office) -> None:
    assert office.ask({"phone": "1001", "number": "2001"}) == (200, {"outcome": "answered"})
    assert office.called == [("PJSIP/1001", "click-to-call", "2001")]


@pytest.mark.parametrize("outcome", [Outcome.BUSY, Outcome.NO_ANSWER, Outcome.HUNG_UP, Outcome.FAILED])
def test_a_phone_that_does_not_answer(office: Office, outcome: Outcome) -> None:
    office.fake.outcomes["PJSIP/1001"] = outcome
    assert office.ask({"phone": 1001, "number": 2001}) == (200, {"outcome": outcome.value})


@pytest.mark.parametrize("authorization", ["", "Bearer ", TOKEN, f"Bearer {TOKEN}x", "Bearer é"])
def test_without_the_token_no_phone_rings(office: Office, authorization: str) -> None:
    status, _ = office.ask({"phone": "1001", "number": "2001"}, authorization)
    assert (status, office.called) == (401, [])


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000,
        b"",
        b"[]",
        b"\xff",
        {"phone": "1001"},
        {"phone": "1001&PJSIP/1002", "number": "2001"},
        {"phone": "1001", "number": "2001@trunk"},
        {"phone": "1001", "number": "٢٠٠١"},
        {"phone": "1001", "number": "2001\r\nAction: Command"},
        {"phone": None, "number": ["2001"]},
    ],
)
def test_what_is_no_number_is_not_dialled(office: Office, body: object) -> None:
    status, _ = office.ask(body)
    assert (status, office.called) == (400, [])


def test_a_pbx_that_is_away_is_said(office: Office) -> None:
    office.fake.listening = False
    office.fake.lose_connection()
    assert office.ask({"phone": "1001", "number": "2001"})[0] == 503


@pytest.mark.parametrize("words", ["Permission denied", "Extension does not exist."])
def test_a_call_that_asterisk_refuses_is_said(office: Office, words: str) -> None:
    office.fake.refused["Originate"] = words
    assert office.ask({"phone": "1001", "number": "2001"})[0] == 502


class Browser(DummyRequest):
    """A request as the page gets it."""

    def __init__(self) -> None:
        super().__init__([b""])
        self.content = BytesIO(b'{"phone": "1001", "number": "2001"}')
        self.requestHeaders.setRawHeaders("Authorization", [SHOWN])


def test_the_page_waits_for_the_outcome(office: Office) -> None:
    office.fake.held.add("Originate")
    request = Browser()
    assert CallPage(office.calls).render_POST(request) == NOT_DONE_YET
    assert (request.finished, request.written) == (0, [])
    office.fake.answer_held()
    assert (request.finished, b"".join(request.written)) == (1, b'{"outcome": "answered"}')


def test_a_browser_that_does_not_wait(office: Office) -> None:
    office.fake.held.add("Originate")
    request = Browser()
    CallPage(office.calls).render_POST(request)
    request.processingFailed(ConnectionError("the browser is gone"))  # type: ignore[no-untyped-call]
    office.fake.answer_held()
    assert (request.finished, len(office.called)) == (0, 1)

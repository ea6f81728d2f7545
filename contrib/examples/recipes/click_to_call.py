"""Click to call: a web request rings a phone; when it is answered, it is connected to a number."""

from __future__ import annotations

import hmac
import json
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from agi_monitor import Account, ActionFailed, Disconnected, ManagerClient, NoAnswer

PHONE = re.compile(r"[0-9]{2,6}")
NUMBER = re.compile(r"[0-9]{2,15}")
CONTEXT = "click-to-call"
LONGEST_BODY = 1_000
RING_SECONDS = 20.0
Answer = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class ClickToCall:
    """Connects a phone of the office to a number.

    Parameters:
        manager: calls the phone.
        token: what a request must show.
    """

    manager: ManagerClient
    token: str

    async def asked(self, authorization: str, body: bytes) -> Answer:
        """What a request is answered with: the status, and the document."""
        if not hmac.compare_digest(authorization.encode(), f"Bearer {self.token}".encode()):
            return 401, {"error": "wrong token"}
        try:
            wanted = json.loads(body)
            phone, number = str(wanted["phone"]), str(wanted["number"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return 400, {"error": "send a phone and a number"}
        # Both become parts of what Asterisk dials: an & or a / would dial something else.
        if not (PHONE.fullmatch(phone) and NUMBER.fullmatch(number)):
            return 400, {"error": "a phone and a number are digits"}
        try:
            call = await self.manager.originate(
                f"PJSIP/{phone}",
                context=CONTEXT,
                extension=number,
                caller_id=number,
                timeout=RING_SECONDS,
            )
        except ActionFailed as error:  # such as a number that the context does not have
            return 502, {"error": str(error)}
        except (Disconnected, NoAnswer) as error:
            return 503, {"error": str(error)}
        return 200, {"outcome": call.outcome.value}


class CallPage(Resource):
    """The address that requests are posted to.

    Parameters:
        calls: answers them.
    """

    isLeaf = True  # noqa: N815 (Twisted's name)

    def __init__(self, calls: ClickToCall) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's own
        self._calls = calls

    def render_POST(self, request: Any) -> int:  # noqa: N802 (Twisted's name)
        """Answer when it is known how the call went."""
        open_still = [request]
        request.notifyFinish().addErrback(lambda _: open_still.clear())  # the browser did not wait

        def answer(result: Answer) -> None:
            for page in open_still:
                page.setResponseCode(result[0])
                page.setHeader("Content-Type", "application/json")
                page.write(json.dumps(result[1]).encode())
                page.finish()

        authorization = request.getHeader("Authorization") or ""
        asked = self._calls.asked(authorization, request.content.read(LONGEST_BODY))
        Deferred.fromCoroutine(asked).addCallback(answer)
        return NOT_DONE_YET


async def main(reactor: Any, host: str, listen: str) -> None:
    """Serve until the process is told to end."""
    account = Account("click-to-call", os.environ["CLICK_TO_CALL_SECRET"])
    async with ManagerClient(host, account, reactor=reactor) as manager:
        calls = ClickToCall(manager, os.environ["CLICK_TO_CALL_TOKEN"])
        await serverFromString(reactor, listen).listen(Site(CallPage(calls)))  # type: ignore[no-untyped-call]
        await Deferred()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))

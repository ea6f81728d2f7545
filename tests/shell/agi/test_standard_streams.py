"""agi_monitor.agi.standard_streams: a handler in a process of its own, as Asterisk starts one; EAGI's sound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from contrib.lab.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[3]
ENVIRONMENT = (
    b"agi_request: script.py\nagi_channel: PJSIP/1001-00000001\nagi_uniqueid: 1700000000.1\nagi_enhanced: %s\n\n"
)
SECONDS = 20.0


class Script:
    """A script that Asterisk has started, from Asterisk's side."""

    def __init__(self, process: subprocess.Popen[bytes], sound: IO[bytes] | None) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process = process
        self.sound = sound
        self._stdin = process.stdin
        self._stdout = process.stdout
        self.says(ENVIRONMENT % (b"0.0" if sound is None else b"1.0"))

    def says(self, data: bytes) -> None:
        """Asterisk sends this."""
        self._stdin.write(data)
        self._stdin.flush()

    def hears(self) -> bytes:
        """The next line of the script; empty at the end."""
        return self._stdout.readline()

    def hangs_up(self) -> None:
        """How Asterisk tells a script that it started."""
        self.process.send_signal(signal.SIGHUP)

    def ends(self) -> int:
        """Its exit code."""
        return self.process.wait(SECONDS)


@contextmanager
def started(folder: Path, program: str, *, eagi: bool = False) -> Iterator[Script]:
    """Start a script; with EAGI its descriptor 3 is the end of a pipe."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(program))
    command = [sys.executable, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    reading, writing = os.pipe()
    if eagi:
        # As Asterisk does: the pipe is number 3 when the script begins.
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{reading}', *command]
    with (folder / "err").open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            pass_fds=(reading,) if eagi else (),
        )
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as sound, process:
        try:
            yield Script(process, sound if eagi else None)
        finally:
            process.kill()


GREET = """
    from agi_monitor import Session, run_agi

    async def greet(session: Session) -> None:
        print("for people")
        await session.answer()
        await session.stream_file("hello")

    run_agi(greet)
"""


def test_a_call_over_standard_input_and_output(tmp_path: Path) -> None:
    """The same handler; what it prints is not a command, and 0 is its exit code."""
    with started(tmp_path, GREET) as script:
        assert script.hears() == b"ANSWER\n"
        script.says(b"200 result=0\n")
        assert script.hears() == b'STREAM FILE "hello" "" "0"\n'
        script.says(b"200 result=0 endpos=8000\n")
        assert script.hears() == b""
        assert script.ends() == 0
    errors = (tmp_path / "err").read_text()
    assert "for people" in errors
    assert "agi_session_ended" in errors
    assert "Traceback" not in errors


CLEANS_UP = """
    import sys
    from agi_monitor import CallEnded, Session, run_agi

    async def record(session: Session) -> None:
        try:
            await session.record_file("message", "wav", "#")
        except CallEnded:
            print("told", file=sys.stderr, flush=True)
            raise
        finally:
            await session.set_variable("RECORDED", "yes")

    run_agi(record)
"""


def test_sighup_is_the_end_of_the_call(tmp_path: Path) -> None:
    """The handler is told where it waits, and cleans up once the reply has come."""
    with started(tmp_path, CLEANS_UP) as script:
        assert script.hears().startswith(b"RECORD FILE")
        script.hangs_up()
        errors = tmp_path / "err"
        wait_until(lambda: "told" in errors.read_text(), SECONDS, "the handler to be told")
        script.says(b"200 result=-1 (hangup) endpos=160\n")
        assert script.hears() == b'SET VARIABLE "RECORDED" "yes"\n'
        script.says(b"200 result=1\n")
        assert script.hears() == b""
        assert script.ends() == 0
    assert (tmp_path / "err").read_text().count("told") == 1


def test_asterisk_that_goes_away_ends_the_process(tmp_path: Path) -> None:
    """The pipe is closed: nothing is left running."""
    with started(tmp_path, CLEANS_UP) as script:
        assert script.hears().startswith(b"RECORD FILE")
        script._stdin.close()
        assert script.hears() == b""
        assert script.ends() == 0


@pytest.mark.parametrize(
    "ending", ["session.refuse()", "raise KeyError('nothing')", "await session.say_digits('1\\n2')"]
)
def test_a_refusal_or_an_error_is_a_failure(tmp_path: Path, ending: str) -> None:
    """The line ``failure`` and an exit code of 1: AGISTATUS is FAILURE either way."""
    program = f"""
    from agi_monitor import Session, run_agi

    async def handler(session: Session) -> None:
        {ending}

    run_agi(handler)
    """
    with started(tmp_path, program) as script:
        assert script.hears() == b"failure\n"
        assert script.hears() == b""
        assert script.ends() == 1


LISTENS = """
    from agi_monitor import Session, run_agi

    async def listen(session: Session) -> None:
        heard = await session.audio.read(320)
        await session.verbose(f"{len(heard)} {sum(heard)}")
        session.audio.discard()
        await session.verbose("now")
        heard = await session.audio.read(4)
        await session.verbose(heard.decode())
        heard = await session.audio.read(320)
        await session.verbose(f"{len(heard)} at the end")

    run_agi(listen)
"""


def test_eagi_hears_the_caller(tmp_path: Path) -> None:
    """That many bytes at a time, however they come; what was said earlier can be left out; the end is the end."""
    with started(tmp_path, LISTENS, eagi=True) as script:
        assert script.sound is not None
        for _ in range(16):
            script.sound.write(b"\x01" * 20)
        assert script.hears() == b'VERBOSE "320 320" "1"\n'
        script.sound.write(b"old ")
        script.says(b"200 result=1\n")
        assert script.hears() == b'VERBOSE "now" "1"\n'
        script.says(b"200 result=1\n")
        script.sound.write(b"news")
        assert script.hears() == b'VERBOSE "news" "1"\n'
        script.says(b"200 result=1\n")
        script.sound.write(b"..")
        script.sound.close()
        assert script.hears() == b'VERBOSE "2 at the end" "1"\n'
        script.says(b"200 result=1\n")
        assert script.ends() == 0


WAITS = """
    import asyncio
    import sys
    from agi_monitor import CallEnded, Session, run_agi

    async def listen(session: Session) -> None:
        try:
            async with asyncio.timeout(3600):
                await session.audio.read(320)
        except CallEnded:
            await session.verbose("over")

    run_agi(listen, use_asyncio=True)
"""


def test_a_hang_up_ends_the_listening(tmp_path: Path) -> None:
    """Under asyncio as well."""
    with started(tmp_path, WAITS, eagi=True) as script:
        assert script.sound is not None
        script.sound.write(b"\x01" * 20)
        errors = tmp_path / "err"
        wait_until(lambda: "agi_session_started" in errors.read_text(), SECONDS, "the session to begin")
        script.hangs_up()
        assert script.hears() == b'VERBOSE "over" "1"\n'
        script.says(b"200 result=1\n")
        assert script.ends() == 0


BLOCKING = """
    from agi_monitor import BlockingAGI, blocking, run_agi

    def old(agi: BlockingAGI) -> None:
        agi.answer()

    run_agi(blocking(old))
"""


def test_a_blocking_handler_there_too(tmp_path: Path) -> None:
    """One handler for all ways."""
    with started(tmp_path, BLOCKING) as script:
        assert script.hears() == b"ANSWER\n"
        script.says(b"200 result=0\n")
        assert script.ends() == 0


LATE = """
    import os, signal
    from agi_monitor import Session, run_agi

    async def short(session: Session) -> None:
        await session.answer()

    class Late:
        def __del__(self, kill=os.kill, me=os.getpid(), number=signal.SIGHUP):
            kill(me, number)

    late = Late()  # goes when Python takes its modules apart
    run_agi(short)
"""


def test_the_hang_up_at_the_very_end_kills_nobody(tmp_path: Path) -> None:
    """Asterisk sends SIGHUP once more when the script is done: the exit code stays what the handler made it."""
    with started(tmp_path, LATE) as script:
        assert script.hears() == b"ANSWER\n"
        script.says(b"200 result=0\n")
        assert script.ends() == 0


def test_started_by_hand_it_says_what_it_waits_for(tmp_path: Path) -> None:
    """A person sees a prompt that does nothing otherwise; Asterisk, which gives it a pipe, is told nothing."""
    (tmp_path / "script.py").write_text("from agi_monitor import run_agi\nasync def f(session): pass\nrun_agi(f)\n")
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        stdin=follower,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    os.close(follower)
    os.write(leader, b"\x04")
    _, said = process.communicate(timeout=SECONDS)
    os.close(leader)
    assert b"Asterisk starts it, by AGI(script.py)" in said
    with started(tmp_path, "from agi_monitor import run_agi\nasync def f(session): pass\nrun_agi(f)\n") as script:
        assert script.ends() == 0
    assert b"starts it" not in (tmp_path / "err").read_bytes()

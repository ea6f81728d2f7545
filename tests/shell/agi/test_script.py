"""agi_monitor.agi.script: a served script has what it has by itself; what it cannot have is said where it asks."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import asterisk.agi
import asterisk.agitb
import pytest

from agi_monitor.agi.pyst2 import BlockingAGI
from agi_monitor.agi.script import Script
from agi_monitor.testing import FakeAsterisk

SECONDS = 20.0


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a server of scripts changes in its process is put back."""
    monkeypatch.setattr(sys, "argv", ["a program", "of the process"])
    monkeypatch.setattr(asterisk.agi, "AGI", asterisk.agi.AGI)
    monkeypatch.setattr(asterisk.agitb, "enable", asterisk.agitb.enable)
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)
    before = {*sys.modules}, [*sys.path], sys.excepthook
    yield
    # Nothing of a script has got into the process.
    assert not {"helper", "settings", "queue_of_mine", "package"} & ({*sys.modules} - before[0])
    assert (sys.path, sys.excepthook) == before[1:]


def written(folder: Path, **files: str) -> Path:
    """Files in a folder, and the script among them."""
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder / "script.py"


def ran(script: Path, *arguments: str, fake: FakeAsterisk | None = None) -> FakeAsterisk:
    """One call of a script."""
    fake = fake or FakeAsterisk(arguments=arguments)
    fake.run_blocking(Script(script))
    return fake


# -- modules --


def test_each_call_has_its_own_modules(tmp_path: Path) -> None:
    """A helper that holds the call's AGI, and one that counts."""
    script = written(
        tmp_path,
        helper="from asterisk.agi import AGI\nagi = AGI()\ncalls = []\n",
        other="import helper\nfrom helper import agi\n",
        script="""
            from helper import agi, calls
            import other
            calls.append(1)
            agi.set_variable("CALLS", len(calls))
            agi.set_variable("SAME", other.agi is agi)
            agi.set_variable("NAME", agi.env["agi_channel"])
        """,
    )
    served = Script(script)
    for number in range(3):
        fake = FakeAsterisk(channel=f"PJSIP/2001-0000000{number}")
        fake.run_blocking(served)
        assert fake.channel.variables == {"CALLS": "1", "SAME": "True", "NAME": f"PJSIP/2001-0000000{number}"}


def test_its_own_folder_comes_first(tmp_path: Path) -> None:
    """Before the standard library for the script and its helpers; the library itself keeps its own."""
    script = written(
        tmp_path,
        queue="WHOSE = 'mine'\n",
        helper="import queue\nWHOSE = queue.WHOSE\n",
        os="raise AssertionError('Python has its own inside')\n",
        script="""
            import os, queue, helper, concurrent.futures
            from asterisk.agi import AGI
            agi = AGI()
            agi.set_variable("QUEUE", queue.WHOSE + helper.WHOSE)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                agi.set_variable("LIBRARY", pool.submit(os.path.basename, "/a/b").result())
        """,
    )
    assert ran(script).channel.variables == {"QUEUE": "minemine", "LIBRARY": "b"}
    import queue

    assert not hasattr(queue, "WHOSE")


def test_scripts_do_not_mix(tmp_path: Path) -> None:
    """Helpers of one name in two folders, in turns and at the same time."""
    scripts = {}
    for name in ("sales", "support"):
        text = "import settings\nfrom asterisk.agi import AGI\nAGI().set_variable('WHO', settings.WHO)\n"
        scripts[name] = Script(
            written(tmp_path / name, settings=f"import time\ntime.sleep(0)\nWHO = {name!r}\n", script=text)
        )
    seen: list[tuple[str, str]] = []

    def call(name: str) -> None:
        fake = FakeAsterisk()
        fake.run_blocking(scripts[name])
        seen.append((name, fake.channel.variables["WHO"]))

    threads = [threading.Thread(target=call, args=(name,)) for name in scripts for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(seen) == 16
    assert all(name == who for name, who in seen)


def test_packages_and_every_way_to_import(tmp_path: Path) -> None:
    """Relative, dotted, star, by importlib, from a folder that the script adds to its path."""
    script = written(
        tmp_path,
        **{"package/__init__": "from .one import ONE\nfrom . import two\n__all__ = ['ONE', 'three']\n"},
        **{"package/one": "ONE = 1\n"},
        **{"package/two": "from .one import ONE\nfrom package.one import ONE as AGAIN\nTWO = ONE + AGAIN\n"},
        **{"package/three": "THREE = 3\n"},
        **{"lib/far": "FAR = 'far'\n"},
        script="""
            import importlib, os.path, sys, importlib.util
            import package.three as third
            from package import *
            from package import two
            sys.path.append(os.path.join(os.path.dirname(__file__), "lib"))
            import far
            from asterisk.agi import AGI
            agi = AGI()
            agi.set_variable("SUM", ONE + two.TWO + third.THREE + three.THREE)
            agi.set_variable("SAME", importlib.import_module("package.two") is two)
            agi.set_variable("STRING", importlib.import_module("string").digits)
            agi.set_variable("FAR", far.FAR)
            agi.set_variable("MAIN", sys.modules["__main__"].ONE + __import__("__main__").ONE)
            try:
                import no_such_module
            except ImportError as error:
                agi.set_variable("MISSING", error.name)
            try:
                import package.no_such_part
            except ImportError as error:
                agi.set_variable("PART", error.name)
        """,
    )
    for _ in range(2):
        assert ran(script).channel.variables == {
            "SUM": "9",
            "SAME": "True",
            "STRING": "0123456789",
            "FAR": "far",
            "MAIN": "2",
            "MISSING": "no_such_module",
            "PART": "package.no_such_part",
        }


def test_a_folder_without_code_is_no_module(tmp_path: Path) -> None:
    """A folder named like a module of the library does not hide it, as in Python."""
    (tmp_path / "json").mkdir()
    (tmp_path / "data").mkdir()
    script = written(
        tmp_path,
        **{"data/numbers": "SEVEN = 7\n"},
        script="""
            import json
            import data.numbers
            from asterisk.agi import AGI
            AGI().set_variable("JSON", json.dumps(data.numbers.SEVEN))
        """,
    )
    assert ran(script).channel.variables == {"JSON": "7"}


def test_a_helper_that_fails_fails_each_time(tmp_path: Path) -> None:
    """It is not kept half made."""
    script = written(
        tmp_path,
        helper="VALUE = 1\nraise ValueError('broken')\n",
        script="""
            from asterisk.agi import AGI
            agi = AGI()
            for number in (1, 2):
                try:
                    import helper
                except ValueError as error:
                    agi.set_variable(f"TRY{number}", error)
        """,
    )
    assert ran(script).channel.variables == {"TRY1": "broken", "TRY2": "broken"}


# -- the process --


def test_arguments_are_a_list_of_its_own(tmp_path: Path) -> None:
    """It may be changed, and libraries read the same one."""
    script = written(
        tmp_path,
        script="""
            import argparse, sys
            from asterisk.agi import AGI
            agi = AGI()
            agi.set_variable("LIST", isinstance(sys.argv, list))
            parser = argparse.ArgumentParser()
            parser.add_argument("name")
            parser.add_argument("--count", type=int)
            found = parser.parse_args()
            agi.set_variable("PARSED", f"{found.name} {found.count}")
            name = sys.argv.pop(0)
            agi.set_variable("SCRIPT", name.endswith("script.py"))
            agi.set_variable("REST", ",".join(sys.argv))
        """,
    )
    for _ in range(2):
        assert ran(script, "Anna", "--count=3").channel.variables == {
            "LIST": "True",
            "PARSED": "Anna 3",
            "SCRIPT": "True",
            "REST": "Anna,--count=3",
        }
    assert (sys.argv[0], len(sys.argv), [*sys.argv], "Anna" in sys.argv) == (
        "a program",
        2,
        ["a program", "of the process"],
        False,
    )


def test_raw_agi_over_standard_input_and_output(tmp_path: Path) -> None:
    """A script without any library reads its environment, writes commands, and reads replies."""
    script = written(
        tmp_path,
        script="""
            import sys
            env = {}
            while True:
                line = sys.stdin.readline().strip()
                if not line:
                    break
                name, _, value = line.partition(": ")
                env[name] = value
            def ask(text):
                sys.stdout.write(text + "\\n")
                sys.stdout.flush()
                return sys.stdin.readline().strip()
            replies = [ask("ANSWER"), ask('STREAM FILE beep ""'), ask("NOOP")]
            print("SET VARIABLE CHANNEL_SEEN %s" % env["agi_channel"])
            replies.append(input())
            print('SET VARIABLE REPLIES "%s"' % "|".join(replies))
            for line in sys.stdin:
                break
            print("SET VARIABLE A")
            usage = sys.stdin.readline()
            while not usage.startswith("520 "):
                usage = sys.stdin.readline()
            print('VERBOSE "%s"' % usage.strip())
        """,
    )
    fake = ran(script)
    assert fake.channel.variables == {
        "CHANNEL_SEEN": "PJSIP/2001-00000001",
        "REPLIES": "200 result=0|200 result=0 endpos=8000|200 result=0|200 result=1",
    }
    assert fake.commands[-1] == ["VERBOSE", "520 End of proper usage."]


def test_standard_input_and_output_beside_agi(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What such a script prints is for people; reading says what is wrong; and passed on they are the call."""
    script = written(
        tmp_path,
        script="""
            import sys
            from asterisk.agi import AGI
            agi = AGI(sys.stdin, sys.stdout)
            print("for people")
            for read in (sys.stdin.readline, agi.stdin.readline, AGI().stdin.readline if False else input):
                try:
                    read()
                except Exception as error:
                    agi.verbose(type(error).__name__)
            agi.set_variable("A", "b")
        """,
    )
    fake = ran(script)
    assert fake.channel.variables == {"A": "b"}
    assert [words[1] for words in fake.commands if words[0] == "VERBOSE"] == ["NotSent"] * 3
    assert "for people" in capfd.readouterr().err


def test_a_function_has_no_standard_input(capfd: pytest.CaptureFixture[str]) -> None:
    """``agi.stdin`` of a served function says so."""
    seen: list[str] = []

    def ask(agi: BlockingAGI) -> None:
        for stream in (agi.stdin, agi.stdout):
            with pytest.raises(asterisk.agi.AGIError, match="no standard input and output") as caught:
                stream.readline()
            seen.append(type(caught.value).__name__)

    FakeAsterisk().run_blocking(ask)
    assert seen == ["NotSent", "NotSent"]


def test_a_read_that_would_wait_for_ever_is_an_error(tmp_path: Path) -> None:
    """Nothing was asked."""
    script = written(
        tmp_path,
        script="""
            import sys
            while sys.stdin.readline() != "\\n":
                pass
            sys.stdin.readline()
        """,
    )
    fake = FakeAsterisk()
    with pytest.raises(asterisk.agi.AGIError, match="a read would wait for ever"):
        fake.run_blocking(Script(script))


def test_threads_of_a_script_belong_to_its_call(tmp_path: Path) -> None:
    """They make an AGI() of their own, send in turns, and are waited for."""
    script = written(
        tmp_path,
        script="""
            import threading
            from concurrent.futures import ThreadPoolExecutor
            from asterisk.agi import AGI
            agi = AGI()
            def work(number):
                for step in range(20):
                    AGI().set_variable(f"V{number}", f"{number}.{step}")
                    assert agi.get_variable(f"V{number}") == f"{number}.{step}"
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(work, range(3)))
            late = threading.Event()
            def behind():
                late.wait(20)
                AGI().set_variable("LATE", "yes")
            threading.Thread(target=behind).start()
            late.set()
        """,
    )
    assert ran(script).channel.variables == {"V0": "0.19", "V1": "1.19", "V2": "2.19", "LATE": "yes"}


def test_a_thread_of_nobody_has_no_call(tmp_path: Path) -> None:
    """``AGI()`` there would read the server's own standard input for ever."""
    written(tmp_path, script="")
    Script(tmp_path / "script.py")
    seen: list[str] = []

    def lost() -> None:
        with pytest.raises(asterisk.agi.AGIError, match="belongs to no call") as caught:
            asterisk.agi.AGI()
        seen.append(str(caught.value))

    thread = threading.Thread(target=lost)
    thread.start()
    thread.join(SECONDS)
    assert len(seen) == 1


def test_a_script_that_watches_sighup(tmp_path: Path) -> None:
    """Its handler is called, nothing else interrupts it, and its next command raises."""
    script = written(
        tmp_path,
        script="""
            import signal
            seen = []
            before = signal.signal(signal.SIGHUP, lambda number, frame: seen.append(number))
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            from asterisk.agi import AGI, AGIHangup
            agi = AGI()
            try:
                agi.get_data("enter-number")
            except AGIHangup:
                seen.append("told")
            same = signal.getsignal(signal.SIGHUP) is not before
            agi.set_variable("SEEN", f"{seen} {before == signal.SIG_DFL} {same}")
        """,
    )
    fake = FakeAsterisk()
    fake.hang_up_during("GET DATA")
    ran(script, fake=fake)
    assert fake.channel.variables["SEEN"] == "[1, 'told'] True True"
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import signal; signal.signal(signal.SIGTERM, print)", "SIGTERM belongs to the server"),
        ("import signal; signal.alarm(5)", "signal.alarm would do that to the server"),
        ("import os; os.fork()", "os.fork would do that to the server"),
        ("from os import execv; execv('/bin/true', ['true'])", "os.execv would do that to the server"),
        ("import multiprocessing as m; m.Process(target=print).start()", "multiprocessing would do that"),
        ("from multiprocessing import Pool; Pool(1)", "multiprocessing would do that"),
        ("from concurrent.futures import *; ProcessPoolExecutor(1).submit(print)", "multiprocessing would do that"),
    ],
)
def test_what_would_be_done_to_the_server_is_refused(tmp_path: Path, line: str, said: str) -> None:
    """At the spot, and with what to do instead."""
    script = written(
        tmp_path,
        script=f"""
            from asterisk.agi import AGI
            agi = AGI()
            try:
                {line}
            except (RuntimeError, ValueError) as error:
                agi.set_variable("SAID", error)
        """,
    )
    text = ran(script).channel.variables["SAID"]
    assert said in text
    assert text.endswith("let Asterisk start this script, with AGI(script.py)")


@pytest.mark.parametrize(
    ("line", "status"), [("os._exit(1)", "FAILURE"), ("exit()", "SUCCESS"), ("quit(2)", "FAILURE")]
)
def test_its_end_is_the_end_of_its_call_only(tmp_path: Path, line: str, status: str) -> None:
    """Whichever way it leaves; what it registered for its end is called."""
    script = written(
        tmp_path,
        script=f"""
            import atexit, os
            from asterisk.agi import AGI
            agi = AGI()
            atexit.register(agi.set_variable, "LEFT", "yes")
            @atexit.register
            def first():
                agi.set_variable("FIRST", "yes")
            {line}
            agi.set_variable("NOT", "reached")
        """,
    )
    registered = atexit._ncallbacks()
    fake = ran(script)
    assert fake.agi_status == status
    assert list(fake.channel.variables) == ["FIRST", "LEFT"]
    assert atexit._ncallbacks() == registered


@pytest.mark.parametrize(
    "hook", ["agitb.enable(agi, True)", "sys.excepthook = lambda *error: agi.verbose(error[1], 4)"]
)
def test_errors_go_to_its_own_hook(tmp_path: Path, hook: str) -> None:
    """``asterisk.agitb`` works, for this call alone."""
    script = written(
        tmp_path,
        script=f"""
            import sys
            import asterisk.agitb as agitb
            from asterisk.agi import AGI
            agi = AGI()
            {hook}
            raise ValueError("what went wrong")
        """,
    )
    fake = FakeAsterisk()
    with pytest.raises(ValueError, match="what went wrong"):
        fake.run_blocking(Script(script))
    assert any("what went wrong" in words[1] for words in fake.commands if words[0] == "VERBOSE")

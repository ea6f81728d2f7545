"""Runs the scenarios; one that fails now and then is told from one that always fails.

    python -m contrib.lab.scenarios tests/scenarios tests/lab

Every argument is pytest's: scenarios, and options in one word (`--asterisk=22`). Scenarios that fail are run once
more when all are done, one at a time on a quiet machine. One that then passes is unstable: a bug to fix, in the
product or in the scenario, but not a reason to refuse a change that has nothing to do with it. It is named at the
end, with the folder of what its failure left behind. At most `MOST_TRIED_AGAIN` may fail at first.

Exit codes: 0 when every scenario passed, at first or alone; 1 when one failed; otherwise pytest's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from contrib.lab.checkout import CHECKOUT

EVIDENCE = CHECKOUT / ".cache" / "failures"
"""Where failed scenarios leave theirs, a folder each."""
OF_THE_SECOND_TRY = EVIDENCE / "second-try"
WORKERS = 6
"""Scenarios mostly wait for people to speak, so more run at the same time than there are processors."""
MOST_TRIED_AGAIN = 3
SOME_FAILED = 1
"""What pytest ends with when tests failed, and nothing else was wrong."""

Pytest = Callable[[Sequence[str]], int]


def evidence_name(scenario: str) -> str:
    """Name the folder in which a failed scenario leaves its evidence.

    :param scenario: as pytest names it: file, function and values
    """
    path, _, name = plain(scenario).partition("::")
    within = re.sub(r"[^\w.-]+", "_", name).strip("_")
    return f"{Path(path).stem}.{within}"


def plain(scenario: str) -> str:
    """Name a scenario without the group that pytest-xdist appends."""
    at = scenario.rfind("@")
    return scenario[:at] if at > scenario.rfind("]") else scenario


def run(arguments: Sequence[str], pytest: Pytest) -> int:
    """Run scenarios, and those that failed once more. Returns the exit code.

    :param arguments: for pytest, with the scenarios
    :param pytest: runs pytest with these arguments and returns its exit code
    """
    options = [argument for argument in arguments if argument.startswith("-")]
    code, failed = _run_once([f"--numprocesses={WORKERS}", *arguments], pytest)
    if code != SOME_FAILED or not failed:
        return code
    if len(failed) > MOST_TRIED_AGAIN or not all("::" in scenario for scenario in failed):
        _say(f"{len(failed)} scenarios failed; none is tried again, as more than {MOST_TRIED_AGAIN} are not chance")
        return code
    again = ["--quiet", "--no-header", f"--evidence={OF_THE_SECOND_TRY}", "--numprocesses=1"]
    results = {}
    for scenario in failed:
        _say(f"once more, alone: {scenario}")
        results[scenario] = _run_once([*options, *again, scenario], pytest)[0]
    unstable = [scenario for scenario, result in results.items() if result == 0]
    for scenario, result in results.items():
        print("UNSTABLE" if result == 0 else "FAILED TWICE", scenario)
        print(f"  its first failure left: {EVIDENCE / evidence_name(scenario)}")
    _say(
        f"{len(unstable)} unstable, {len(failed) - len(unstable)} failed twice; an unstable scenario is a bug to fix"
    )
    return 0 if len(unstable) == len(failed) else SOME_FAILED


def _run_once(arguments: Sequence[str], pytest: Pytest) -> tuple[int, list[str]]:
    """Run pytest, and return its exit code and what it remembers as failed."""
    with tempfile.TemporaryDirectory(prefix="scenarios-") as cache:
        code = pytest([*arguments, "--dist=loadgroup", "-o", f"cache_dir={cache}"])
        remembered = Path(cache, "v", "cache", "lastfailed")
        failed = json.loads(remembered.read_text()) if remembered.exists() else {}
    return code, [plain(scenario) for scenario in failed]


def _say(line: str) -> None:
    print(f"== scenarios: {line}", flush=True)


def _pytest(arguments: Sequence[str]) -> int:
    with subprocess.Popen([sys.executable, "-m", "pytest", *arguments]) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # pytest has heard it too: it takes its containers away, and ends


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], _pytest))

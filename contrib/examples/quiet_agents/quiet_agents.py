"""A plug-in: agents whose extension stands in a file may not be heard for as long as it stands there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from agi_monitor import Asked


class QuietAgents:
    """An ``Authorizer``, and a step after each spy."""

    def __init__(self) -> None:
        self._file = Path(os.environ.get("QUIET_AGENTS", "/etc/agi-monitor/quiet-agents"))

    async def authorize(self, asked: Asked) -> Literal[True] | str:
        """Say no for agents in the file. A file that cannot be read raises, which denies."""
        quiet = self._file.read_text(encoding="utf-8").split()
        return f"{asked.extension} is quiet" if asked.extension in quiet else True

    async def after_spy(self, asked: Asked, why: str, seconds: float) -> None:
        """Count in a file beside it what was heard."""
        with self._file.with_suffix(".heard").open("a", encoding="utf-8") as heard:
            heard.write(f"{asked.extension} {seconds:.0f} {why}\n")

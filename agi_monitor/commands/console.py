"""Tables and colours on a terminal, with rich. To import it takes longer than to ask a server."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from agi_monitor.commands.terminal import LAYOUT
from agi_monitor.shown import visible

PIPE_COLUMNS = 200
"""The width of a table that goes into a pipe or a file, which has no width of its own."""


class _PlainConsole(Console):
    """Shows nothing that a terminal would obey but rich's own styles, wherever in a table or a line it stands."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control is None and not segment.text.isprintable():
                segment = Segment(visible(segment.text, LAYOUT), segment.style)
            yield segment


def console(pipe_columns: int = PIPE_COLUMNS) -> Console:
    """Standard output for tables. Without a terminal, rich takes 80 columns and cuts what is longer.

    Parameters:
        pipe_columns: the width without a terminal.
    """
    return _PlainConsole(width=None if sys.stdout.isatty() else pipe_columns, highlight=False)

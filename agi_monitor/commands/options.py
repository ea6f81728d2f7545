"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

DEFAULT_CONFIG = "/etc/agi-monitor/agi-monitor.yaml"

config_option = click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="AGI_MONITOR_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
"""Gives the command ``config_path``."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
"""Gives the command ``as_json``."""

socket_option = click.option(
    "--socket",
    # Not click's own look whether it may be read: it says less than what comes of the attempt.
    type=click.Path(readable=False, path_type=Path),
    envvar="AGI_MONITOR_SOCKET",
    show_envvar=True,
    help="The server's control socket (default: the one in the configuration).",
)
"""Gives the command ``socket``."""

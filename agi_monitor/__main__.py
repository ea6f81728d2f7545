"""``python -m agi_monitor`` is the command ``agi-monitor``."""

from agi_monitor.commands.main import main

main(prog_name="agi-monitor")

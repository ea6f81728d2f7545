"""Tells ``twistd`` that there is ``twistd agi``. Installed as twisted/plugins/agi_monitor_plugin.py."""

from twisted.application.service import ServiceMaker

agi = ServiceMaker(  # type: ignore[no-untyped-call]  # Twisted's own
    "FastAGI", "agi_monitor.agi.twistd", "A FastAGI server for Asterisk, from a handler of yours.", "agi"
)

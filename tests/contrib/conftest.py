"""A server process as a site runs it, for what stands around it."""

from __future__ import annotations

from tests.doubles.server_process import dial, port, start, text

__all__ = ["dial", "port", "start", "text"]

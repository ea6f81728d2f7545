"""A server process, for what it does itself."""

from __future__ import annotations

from tests.server_process import dial, port, start, text

__all__ = ["dial", "port", "start", "text"]

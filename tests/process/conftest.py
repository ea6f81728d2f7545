"""A server process, for what it does itself, and both databases."""

from __future__ import annotations

from tests.doubles.databases import database, postgresql, url, with_tables
from tests.doubles.server_process import dial, port, start, text

__all__ = ["database", "dial", "port", "postgresql", "start", "text", "url", "with_tables"]

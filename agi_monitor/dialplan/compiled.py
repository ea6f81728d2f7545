"""The templates that this process has compiled: to compile one takes longer than to render it."""

from __future__ import annotations

from types import CodeType

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class Compiled(BytecodeCache):
    """One compiled template for each file, used as long as the file has the same text."""

    def __init__(self) -> None:
        self._codes: dict[str, tuple[str, CodeType]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give what was compiled from this text."""
        checksum, code = self._codes.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled, instead of what was compiled from an earlier text."""
        if bucket.code is not None:
            self._codes[bucket.key] = (bucket.checksum, bucket.code)

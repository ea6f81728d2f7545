"""Errors of the laboratory.

LabError
  EngineError     no Docker engine, or it does not start
  ImageError      a container image could not be made
  PhoneError      a phone refused a command or lost its connection
  WaitTimeout     a condition did not come true in time
  Unclear         a sound is neither clearly heard nor clearly silent
"""

from __future__ import annotations


class LabError(Exception):
    """Something in the laboratory failed; the message says what, where and how to fix it."""


class EngineError(LabError):
    """There is no Docker engine to work with."""


class ImageError(LabError):
    """A container image could not be made; the message names the build log."""


class PhoneError(LabError):
    """A phone refused a command, or its control connection broke."""


class WaitTimeout(LabError):
    """A condition did not come true within its time; the message says which, and what was seen last."""


class Unclear(LabError):
    """A sound level lies between "heard" and "silent": the measurement decides nothing."""

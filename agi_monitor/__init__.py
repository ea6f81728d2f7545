"""Live call monitoring for Asterisk: listen, whisper and barge from a desk phone."""

__version__ = "0.1.0"

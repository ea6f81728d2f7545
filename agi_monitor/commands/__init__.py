"""The commands of ``agi-monitor``."""

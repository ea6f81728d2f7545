"""Units of systemd; inside the wheel they are the package ``agi_monitor.units``."""

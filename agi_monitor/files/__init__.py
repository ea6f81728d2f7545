"""Files in folders that others may write to: see ``folder``."""

# noqa: N999  (only in the checkout is the folder called so, where administrators look for it)
"""The packaged templates. Installed, this folder is the package ``agi_monitor.templates``."""

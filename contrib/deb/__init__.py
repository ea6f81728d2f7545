"""A Debian package of the checkout: ``make deb`` builds it, ``make deb-check`` installs it in clean releases."""

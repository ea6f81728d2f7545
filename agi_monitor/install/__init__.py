"""Puts the rendered files into the folder of a running Asterisk, and takes them out again.

``include_lines`` knows the one include that is added, ``manifest`` what was written, ``plan`` what would change:
all three are pure. ``journal`` changes files so that either all of them change or none. ``comparison`` holds what
the PBX has loaded against what was rendered, ``admin_session`` asks it.
"""

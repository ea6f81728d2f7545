"""The dialplan: from a site's rules to the files that Asterisk loads, checked before they are written.

``site`` is what goes in, ``render`` makes the text, ``lint`` checks it, ``write`` puts it on disk. ``parse``
reads such a text as Asterisk does.
"""

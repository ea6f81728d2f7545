"""AGI over TCP (FastAGI): the wire between Asterisk's ``AGI()`` application and a coroutine.

``messages`` and ``connection`` are pure: bytes in, events out. ``protocol`` puts them on Twisted, ``session`` is
what a story awaits, ``routing`` picks the story by the script's name, ``log_events`` lists what is logged.
"""

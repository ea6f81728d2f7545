"""The Asterisk Manager Interface (AMI): one connection that says what happens on a PBX and takes actions.

``messages`` and ``connection`` are pure: bytes in, events out. ``protocol`` puts them on Twisted and keeps the
connection up, ``endpoints`` is the way to the PBX, ``states`` says how the connection stands, ``permissions`` which
class an action needs, ``limits`` what a peer may cost.
"""

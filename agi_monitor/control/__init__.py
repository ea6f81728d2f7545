"""The control socket: what the command line asks of a running server, and whom it may ask.

One JSON object a line, both ways, on a socket that the owner and the group of the server may open::

    -> {"ask": "calls"}                    <- {"ok": true, "calls": [...]}
    -> {"ask": "kill", "id": "..."}        <- {"ok": true, "ended": {...}}
    -> {"ask": "reload"}                   <- {"ok": true, "reloaded": {...}}
    -> {"ask": "events"}                   <- {"ok": true}, then {"ok": true, "event": {...}} for each
    -> {"ask": "coffee"}                   <- {"ok": false, "problem": "unknown_ask", "text": "..."}

``messages`` and ``lines`` are pure: bytes in, requests out. ``protocol`` puts them on Twisted, ``socket_file`` says
where the socket is and who may have its place, ``client`` asks without Twisted. What the server must offer, and what
it answers, is in ``shown``; ``limits`` has what a client may cost.
"""

"""The decisions: pure Python, no Twisted, no sockets, no clock of their own."""

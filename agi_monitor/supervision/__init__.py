"""The story of a ``*222`` call, and by what right a channel hears another. Pure: no socket, no clock of its own."""

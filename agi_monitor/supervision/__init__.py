"""The story of a ``*222`` call, and by what right somebody hears somebody. Pure: no socket, no clock of its own."""

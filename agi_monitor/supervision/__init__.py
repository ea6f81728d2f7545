"""The story of a ``*222`` call, and by what right somebody hears somebody: pure, no socket and no clock of its own."""

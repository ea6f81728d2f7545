"""The steps by which the tables came to be what they are. Each is applied whole, or not at all."""

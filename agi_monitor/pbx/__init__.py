"""One PBX over its manager interface: the connection, the watch over its spies, and what ends them."""

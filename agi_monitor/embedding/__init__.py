"""What a program that embeds the library brings along: its event loop, and its log."""

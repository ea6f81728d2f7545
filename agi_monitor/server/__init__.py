"""The running server and its parts."""

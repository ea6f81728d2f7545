"""Files that outlive the server: the audit and the lock-outs."""

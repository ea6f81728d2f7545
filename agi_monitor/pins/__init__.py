"""Identity: PINs, their records and rules, lock-outs. Pure."""

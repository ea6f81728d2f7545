"""Who somebody is: PINs, their records and rules, lock-outs. Pure."""

"""What stands in columns of the database that the schema does not comment."""

from __future__ import annotations

COLUMNS = {
    ("audit_record", "node"): "the server, `store.node`: each has a chain of its own",
    ("audit_record", "seq"): "as in the record",
    ("audit_record", "at"): "as in the record",
    ("audit_record", "fact"): "as in the record",
    ("audit_chain", "node"): "the server",
    ("audit_chain", "unsigned"): "how many records came after the last checkpoint",
    ("supervisor", "pin"): "an argon2id record; without one, no PIN is accepted",
    ("agent", "protected"): "whether they may not be heard",
    ("people_change", "after"): "as JSON, never with a PIN; none when it is gone",
    ("node", "lock_out_end"): "up to here its audit has the ends of lock-outs",
    ("lock_out_end", "by"): "who ended the lock-out",
}
"""Columns that the schema does not comment, or in words that stay as they are in the databases of sites."""

"""Facts, and the chain that makes a change of a record show. Pure; files and tables are in ``storage.audit``."""

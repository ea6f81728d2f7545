"""Where the audit is kept and read: files, tables, their keys and heads."""

"""What outlives the server: the files of audit and keys, and the database."""

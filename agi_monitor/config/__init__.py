"""The configuration: its file, its sections, and their translation into what each room works with."""

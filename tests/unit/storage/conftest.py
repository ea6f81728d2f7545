"""What is stored is tested on both databases."""

from tests.doubles.databases import database, postgresql, url, with_tables

__all__ = ["database", "postgresql", "url", "with_tables"]

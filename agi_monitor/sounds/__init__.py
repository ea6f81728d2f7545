"""What the prompts of the own pack say, one module for each language."""

"""From nothing to a first call: what is looked for, what is made of it, and how each step is undone."""

"""Who may hear whom: rules, hours and patterns of numbers. Pure."""

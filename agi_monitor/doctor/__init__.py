"""Looks at a site and says what is unsafe; changes nothing."""

"""Asks a user for a reason instead of blocking for good: the page, and the passes that a reason earns."""

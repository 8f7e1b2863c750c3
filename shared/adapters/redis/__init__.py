"""The store over Redis: its scripts, and many commands at once."""

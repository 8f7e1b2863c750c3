"""From one encoder to another while traffic flows."""

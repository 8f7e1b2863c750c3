"""How well the fingerprinter finds copies, how often it is wrong, and what it costs: `safelight encoder evaluate`."""

"""The only I/O in shared: buses, stores, sinks, and what a role needs of the machine that it runs on."""

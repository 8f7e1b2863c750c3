"""The store of one machine, in SQLite: its tables, and one poller for all who follow them."""

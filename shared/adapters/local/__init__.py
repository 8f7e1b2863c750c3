"""The bus of one machine: a hub on a Unix socket, its frames, and the queue behind it."""

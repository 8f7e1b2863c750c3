"""What the process runs on, whatever it inspects: the event loop and what holds it, connections, waiting with an end.
Nothing here imports from elsewhere in the proxy."""

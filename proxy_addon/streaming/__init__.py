"""Bodies on their way: mitmproxy's HTTP and WebSocket layers, and streams judged event by event, message by message."""

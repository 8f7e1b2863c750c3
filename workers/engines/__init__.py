"""The worker role put together: one engine for each encoder in use, and the service around them."""

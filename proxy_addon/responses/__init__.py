"""What an endpoint gets in place of what was blocked, and what goes on where a message was changed."""

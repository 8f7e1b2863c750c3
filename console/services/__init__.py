"""Use cases behind the command line and the HTTP API; they reach roles only through ports."""

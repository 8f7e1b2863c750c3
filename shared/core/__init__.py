"""Rules without I/O: policies, matching, hashing, redaction; `now` is an argument."""

"""The image fingerprinters: their files and names, the session that runs one, and which images it runs together."""

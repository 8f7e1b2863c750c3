"""The demonstration: the whole product on this machine, real uploads and downloads, a table of what happened."""

"""Who is behind a transfer: addresses, the PROXY header, proxy authentication, the directory of users and groups."""

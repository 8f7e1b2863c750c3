"""Uploads in several requests, whatever their protocol: put together, judged as a whole, let through or taken back."""

"""The second step of a search: local features found in an image, verified by one transform, compared inside."""

"""The first step of a search, and a view of the index: vectors, signs, hashes, and from what is near to scores."""

"""Classifiers that users train themselves: from a few dozen pictures a label to a score in every worker."""

"""From a sealed question to a sealed verdict: admission, what is known already, inspection, the answer."""

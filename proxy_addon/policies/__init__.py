"""What is in force while the proxy runs, by the store or by watched files: the policies, the switch of inspection, and
the fail mode for what could not be judged."""

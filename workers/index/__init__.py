"""The index's life cycle: its log and snapshots in the store, the copy every worker keeps of it, compaction, graphs."""

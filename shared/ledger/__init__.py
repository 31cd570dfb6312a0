"""The run ledger, the change feed, and how work is cut into shards."""

"""The run ledger, the change feed, and the splitting of work into shards and parts."""

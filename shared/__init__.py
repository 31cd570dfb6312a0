"""What runs inside every worker: jobs, windows, dispatch, consume, ledger. The host has it too."""

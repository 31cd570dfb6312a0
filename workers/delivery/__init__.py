"""The worker mauntic-analytics-queue."""

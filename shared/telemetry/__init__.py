"""Log events, metric points and alerts."""

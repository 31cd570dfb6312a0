"""Log events, metric points, alerts and heartbeats."""

"""Pure rules of the scoring jobs."""

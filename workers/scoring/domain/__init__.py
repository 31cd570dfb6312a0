"""The rules of the scoring jobs that reach nothing outside."""

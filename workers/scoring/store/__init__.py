"""The SQL statements of the scoring jobs, as functions."""

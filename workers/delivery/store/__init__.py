"""The SQL statements of the analytics jobs, as functions."""

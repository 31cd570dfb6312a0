"""The statements of the jobs, as functions."""

"""The rules of the analytics jobs that reach nothing outside."""

"""Pure rules of the analytics jobs."""

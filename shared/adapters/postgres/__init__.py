"""PostgreSQL over pg8000, for workers and the host."""

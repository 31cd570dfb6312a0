"""Implementations of the ports over the platform and Postgres."""

"""Campaigns: what refuses them, the start of a run, its fan-out, its figures and its end."""

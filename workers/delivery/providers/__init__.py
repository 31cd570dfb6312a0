"""Adapters of the providers, one file each."""

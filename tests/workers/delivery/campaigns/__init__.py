"""Campaigns from their start to their end."""

"""The host's side: what developers and operators run. No bundle holds any of it."""

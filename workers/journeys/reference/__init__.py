"""The meaning of criteria in plain Python, as `mauntic segments explain` shows it. Pure."""

"""The score of one contact in plain Python, as `mauntic scores show` explains it. Pure."""

"""One contact's score in plain Python: what `mauntic scores show` explains. Pure."""

"""The checks of a claim in plain Python. It explains and tests the SQL; no bundle has it."""

"""This checkout: its paths, programs and private files. Standard library only."""

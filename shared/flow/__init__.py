"""The path of a message, from its delivery to its end."""

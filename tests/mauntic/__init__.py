"""The command, called as an operator calls it."""

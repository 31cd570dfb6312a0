"""Templates and the parts of a message."""

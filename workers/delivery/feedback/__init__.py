"""What providers report: read it, and apply it."""

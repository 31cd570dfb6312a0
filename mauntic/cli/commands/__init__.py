"""One module a command: it parses, asks and prints."""

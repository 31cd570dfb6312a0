"""The framework's SQL statements and their loader."""

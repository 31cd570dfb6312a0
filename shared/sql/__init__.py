"""The framework's SQL statements, and the loader of SQL files."""

"""Database URLs, migrations and the embedded server."""

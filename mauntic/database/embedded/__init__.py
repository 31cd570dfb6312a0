"""The PostgreSQL server that the project brings."""

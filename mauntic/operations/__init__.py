"""Everything an operator can do. Knows no terminal."""

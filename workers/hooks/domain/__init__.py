"""Rules that reach nothing outside: paths, headers, limits, the page."""

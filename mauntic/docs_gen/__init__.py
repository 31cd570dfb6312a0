"""Pages and configuration that are generated from the code."""

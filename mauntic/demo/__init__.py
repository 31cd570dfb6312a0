"""The demo: sample data, expected figures and their comparison."""

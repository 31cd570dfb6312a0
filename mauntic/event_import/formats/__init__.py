"""The exports that other systems publish, one module for each system."""

"""Code that runs only on the developer's machine: the local runtime."""

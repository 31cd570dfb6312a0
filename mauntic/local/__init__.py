"""What runs on the developer's machine only: the local runtime and its database."""

"""The `mauntic` command. It runs on the host and is never part of a bundle."""

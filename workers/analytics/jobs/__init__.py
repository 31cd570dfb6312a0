"""One file per job: message, handler, schedule."""

"""One file a job: message, handler, schedule."""

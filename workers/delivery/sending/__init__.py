"""From a batch of queue messages to calls and their verdicts: the order of the steps."""

"""The worker mauntic-scoring-queue."""

"""The worker mauntic-journeys-queue."""

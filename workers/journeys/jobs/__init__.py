"""The jobs of mauntic-journey-queue: one file each."""

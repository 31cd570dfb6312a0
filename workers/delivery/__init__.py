"""The worker mauntic-delivery-queue."""

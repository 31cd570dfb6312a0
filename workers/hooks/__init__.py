"""The worker mauntic-delivery-hooks."""

"""The simulator of deliveries: docs/simulator.md."""

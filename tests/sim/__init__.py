"""The simulator: two weeks of every schedule in seconds, with faults drawn from a seed."""

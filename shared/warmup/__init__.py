"""Warm-up of sending domains: daily caps and their counters in R2."""

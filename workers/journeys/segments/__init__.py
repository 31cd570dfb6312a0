"""Membership of segments: the hourly evaluation, the preparation of new criteria, their builds."""

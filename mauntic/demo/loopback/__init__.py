"""A server of this machine that answers as the message providers do: it sends nothing, and counts.

`LocalRuntime(connected_hosts=…)` brings the workers' requests to it.
"""

"""The runtime's side of what the vendor's SDK expects inside a worker, and our own side of it.

The SDK's `.pth` file looks for this package: where it is found, the SDK registers which vendored
packages may ask for randomness while they are imported, and how many times.
"""

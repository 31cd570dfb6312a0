"""The runtime's part of the vendor's SDK inside a worker, and this project's additions.

The SDK's `.pth` file searches for this package. If it exists, the SDK registers which vendored
packages may request randomness during their import, and how many times.
"""

"""The error that ends a command with a sentence for the operator."""

from __future__ import annotations


class OperatorError(Exception):
    """The operation is refused or failed. One sentence: cause and remedy."""

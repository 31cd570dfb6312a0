"""The errors of content. Their texts never contain content."""

from __future__ import annotations


class ContentError(ValueError):
    """A message cannot be built from its content. The text has the problem and the remedy."""


class TemplateError(ContentError):
    """A template cannot be parsed or filled. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, problem: str, remedy: str) -> None:
        super().__init__(f"line {line}, column {column}: {problem}: {remedy}")
        self.line = line
        self.column = column

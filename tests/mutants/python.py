"""Changes to Python, made by the operators of Cosmic Ray. Fetched by `make mutants` alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.mutants.mutant import Mutant, Site, of_change

Span = tuple[int, int, int, int]


def sites(path: str, text: str) -> Iterator[Site]:
    """Every place where an operator applies; annotations and docstrings have no effect."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    inert = list(_inert_spans(text))
    nodes = list(ast_nodes(get_ast(text)))
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments():
            continue
        operator = operator_class()
        positions = (p for node in nodes for p in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(positions):
            if not any(_within(start, span) for span in inert):
                make = partial(_changed, path, text, name, operator, occurrence)
                yield Site(path, start[0], make)


def _changed(path: str, text: str, name: str, operator: Any, occurrence: int) -> Mutant | None:
    from cosmic_ray.mutating import mutate_code

    try:
        changed = mutate_code(text, operator, occurrence)
        ast.parse(changed)
    except (
        AttributeError,
        SyntaxError,
    ):  # the operator took `module.Name` or `**names` for another
        return None
    return of_change(path, name.partition("/")[2], text, changed)


def _inert_spans(text: str) -> Iterator[Span]:
    """Where annotations and docstrings stand: (line, column, end line, end column)."""
    for node in ast.walk(ast.parse(text)):
        part: ast.expr | None = None
        if isinstance(node, ast.arg | ast.AnnAssign):
            part = node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            part = node.returns
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            part = node.value
        if part is not None and part.end_lineno and part.end_col_offset is not None:
            yield (part.lineno, part.col_offset, part.end_lineno, part.end_col_offset)


def _within(position: tuple[int, int], span: Span) -> bool:
    return span[:2] <= position < span[2:]

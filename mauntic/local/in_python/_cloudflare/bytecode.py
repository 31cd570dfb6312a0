"""Compile the modules that a cold interpreter has imported, so that later ones need not."""

import py_compile
import sys
from importlib.util import cache_from_source
from pathlib import Path


def compile_imported() -> None:
    """Compile them here, because Pyodide imports without writing bytecode, mostly before it can be
    configured.
    """
    for module in list(sys.modules.values()):
        source = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if source.endswith(".py") and not Path(cache_from_source(source)).exists():
            py_compile.compile(source, doraise=False, quiet=2)

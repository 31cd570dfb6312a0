"""Compile the modules that a cold interpreter has imported, so that later ones need not."""

import marshal
import py_compile
import sys
from importlib.util import cache_from_source
from pathlib import Path

# https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
HEADER_BYTES = 16


def compile_imported() -> None:
    """Compile them here, because Pyodide imports without writing bytecode, mostly before it can be
    configured.
    """
    for module in list(sys.modules.values()):
        source = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if source.endswith(".py") and not Path(cache_from_source(source)).exists():
            py_compile.compile(source, doraise=False, quiet=2)
            _remove_unless_whole(Path(cache_from_source(source)))


def _remove_unless_whole(compiled: Path) -> None:
    """Remove a file that was not written completely: stored, it would break every later start."""
    try:
        marshal.loads(compiled.read_bytes()[HEADER_BYTES:])
    except EOFError, ValueError, TypeError:
        compiled.unlink()
    except FileNotFoundError:
        pass  # its source has a syntax error

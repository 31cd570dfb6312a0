"""Refuse, by name, what production's startup snapshot refuses or freezes while a worker is
imported. Each refusal contains the file and line of the call.

Functions that Python code calls are wrapped. The host reports requests that reach the system (C
extensions, the clock behind `datetime.now`) through `on_entropy` and `on_clock`.
"""

import os
import random
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from pyodide.ffi import JsProxy

from . import allow_entropy, import_patch_manager

EIO = 29
OWN = "/session/metadata/"
VENDORED = OWN + "python_modules/"
GUARD = str(Path(__file__).parent)

_RANDOM_FUNCTIONS = tuple(
    name for name, value in vars(random).items() if getattr(value, "__self__", None) is random._inst
)
_SOCKET_FUNCTIONS = ("getaddrinfo", "gethostbyname", "create_connection", "create_server")
_SOCKET_METHODS = ("connect", "connect_ex", "bind")

_refusals: list[str] = []
_originals: list[tuple[Any, str, Any]] = []
_importing = False


class ImportRefused(ImportError):
    """An imported worker did something that only an event handler may do."""


def start() -> None:
    global _importing
    _importing = True
    import_patch_manager.start()
    for owner, name in ((os, "urandom"), (random, "_urandom")):
        _replace(owner, name, "requested randomness (os.urandom)", _takes_allowed_call)
    for name in _RANDOM_FUNCTIONS:
        if name not in ("seed", "setstate"):
            _replace(random, name, f"requested randomness (random.{name})")
    _replace(random, "seed", "requested randomness (random.seed)", _seeds)
    _replace(random.Random, "seed", "requested randomness (random.Random)", _seeds_itself)
    for name in _SOCKET_FUNCTIONS:
        _replace(socket, name, f"opened a connection (socket.{name})")
    for name in _SOCKET_METHODS:
        _replace(socket.socket, name, f"opened a connection (socket.socket.{name})")


def finish(open_files: Iterable[str] = ()) -> None:
    """Restore all wrapped functions. Refuse the worker if one of its own modules made a refused
    call, or keeps an object that no snapshot can contain: an open file or an object of JavaScript.
    """
    global _importing
    _importing = False
    _refusals.extend(f"{path} is still open after the import. Close it." for path in open_files)
    _refusals.extend(_javascript_objects())
    for owner, name, original in reversed(_originals):
        setattr(owner, name, original)
    _originals.clear()
    import_patch_manager.finish()
    random.seed()
    if _refusals:
        raise ImportRefused("; ".join(dict.fromkeys(_refusals)))


def on_entropy() -> int:
    """Handle a request for randomness that reached the system: return 0 if it is allowed, else an
    error number.
    """
    if not _importing or allow_entropy.take_allowed_call():
        return 0
    _note("requested randomness")
    return EIO


def on_clock() -> None:
    """Handle a read of the clock. In production it returns 1970-01-01, which vendored packages may
    use.
    """
    if _importing:
        _note("read the clock")


def on_javascript(what: str) -> str:
    """Return the error for a call of a JavaScript function that production refuses."""
    return f"{_note(what)} Do it inside an event handler."


def _javascript_objects() -> Iterator[str]:
    """Refuse objects that production cannot serialize. A module such as `js` is not such an
    object.
    """
    modules: list[tuple[str, Any]] = list(sys.modules.items())
    for name, module in modules:
        path = getattr(module, "__file__", None) or ""
        if not path.startswith(OWN) or path.startswith(VENDORED):
            continue
        for variable, value in vars(module).items():
            if isinstance(value, JsProxy) and not any(value is other for _, other in modules):
                yield (
                    f"{name}.{variable} keeps an object of JavaScript: production cannot serialize"
                    " a top-level variable of that kind. Create it inside an event handler."
                )


def _never(*_args: Any, **_kwargs: Any) -> bool:
    return False


def _takes_allowed_call(*_args: Any) -> bool:
    return allow_entropy.take_allowed_call()


def _seeds(a: Any = None, *_args: Any, **_kwargs: Any) -> bool:
    """Allow a given seed: it needs no randomness."""
    return a is not None


def _seeds_itself(_self: random.Random, a: Any = None, *_args: Any, **_kwargs: Any) -> bool:
    return a is not None


def _replace(owner: Any, name: str, what: str, is_allowed: Callable[..., bool] = _never) -> None:
    original = getattr(owner, name)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not _importing or is_allowed(*args, **kwargs):
            return original(*args, **kwargs)
        raise OSError(EIO, f"{_note(what)} Do it inside an event handler.")

    _originals.append((owner, name, original))
    setattr(owner, name, guarded)


def _note(what: str) -> str:
    """Describe the caller; a call of this project's modules is recorded even if they caught the
    error.
    """
    path, line = _culprit()
    sentence = f"{path.removeprefix(OWN)} line {line} {what} while it was imported."
    if path.startswith(OWN) and not path.startswith(VENDORED):
        _refusals.append(sentence)
    return sentence


def _culprit() -> tuple[str, int]:
    """Return the innermost frame outside a library function: a module's top level, or a worker's
    file.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        outside = path.startswith(OWN) or frame.f_code.co_name == "<module>"
        if outside and not path.startswith(GUARD):
            return path, frame.f_lineno
        frame = frame.f_back
    return "an unknown module", 0

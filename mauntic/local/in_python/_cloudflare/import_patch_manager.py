"""Import some modules inside a context; the SDK registers the contexts by module name."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

Context = Callable[[ModuleType], AbstractContextManager[None]]
Callback = Callable[[ModuleType], None]
T = TypeVar("T")

_create_contexts: dict[str, Context] = {}
_exec_contexts: dict[str, Context] = {}
_after_snapshot: dict[str, Callback] = {}
_before_first_request: dict[str, Callback] = {}
_blocked: list[tuple[ModuleType, str, Any]] = []
_importing = False


def _registrar[T](registry: dict[str, T]) -> Callable[[str], Callable[[T], T]]:
    def register(name: str) -> Callable[[T], T]:
        def keep(item: T) -> T:
            registry[name] = item
            return item

        return keep

    return register


register_create_patch = _registrar(_create_contexts)
register_exec_patch = _registrar(_exec_contexts)
register_after_snapshot = _registrar(_after_snapshot)
register_before_first_request = _registrar(_before_first_request)


class _ContextLoader(Loader):
    """The module's loader, with a context around creation or execution."""

    def __init__(self, loader: Any, name: str) -> None:
        self._loader = loader
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None
        context = _create_contexts.get(self._name, _without_context)
        with context(ModuleType(self._name)):
            module = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        context = _exec_contexts.get(self._name, _without_context)
        with context(module):
            self._loader.exec_module(module)


def _without_context(_module: ModuleType) -> AbstractContextManager[None]:
    return nullcontext()


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _exec_contexts and fullname not in _create_contexts:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                spec.loader = _ContextLoader(spec.loader, fullname)
                return spec
        return None


_finder = _Finder()


def block_calls(module: ModuleType, *, allowlist: Iterable[str] = ()) -> None:
    """Make every function of this module raise until the first event."""
    for name, value in list(vars(module).items()):
        public = not name.startswith("_") and name not in allowlist
        if public and callable(value) and not isinstance(value, type):
            _blocked.append((module, name, value))
            setattr(module, name, _refusing(module.__name__, name, value))


def _refusing(module_name: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def refuse_while_importing(*args: Any, **kwargs: Any) -> Any:
        if _importing:
            raise RuntimeError(f"{module_name}.{name}() is refused while a worker is imported")
        return function(*args, **kwargs)

    return refuse_while_importing


def start() -> None:
    global _importing
    _importing = True
    sys.meta_path.insert(0, _finder)


def finish() -> None:
    """Restore everything after the imports, then let the packages seed themselves."""
    global _importing
    _importing = False
    sys.meta_path.remove(_finder)
    for module, name, value in _blocked:
        setattr(module, name, value)
    _blocked.clear()
    for registry in (_after_snapshot, _before_first_request):
        for name, callback in registry.items():
            if name in sys.modules:
                callback(sys.modules[name])

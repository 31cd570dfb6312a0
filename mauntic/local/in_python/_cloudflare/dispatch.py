"""Pass an event of the runtime to a method of the worker's `Default` class."""

import inspect
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


def entrypoint_class(entry: ModuleType) -> Callable[[Any, Any], Any]:
    try:
        default: Callable[[Any, Any], Any] = entry.Default
    except AttributeError:
        message = "entry.py has no class `Default(WorkerEntrypoint)`"
        raise ImportError(message) from None
    return default


async def fetch(instance: Any, js_request: Any) -> Any:
    """Call `fetch` with the request, env and ctx, as production does."""
    request = import_module("workers").Request(js_request)
    return _js_response(
        await _awaited(_handler(instance, "fetch")(request, instance.env, instance.ctx))
    )


async def event(instance: Any, name: str, subject: Any) -> None:
    """Call `queue` or `scheduled` with None for env and ctx, as production does."""
    await _awaited(_handler(instance, name)(subject, None, None))


def _handler(instance: Any, name: str) -> Callable[..., Any]:
    handler: Callable[..., Any] | None = getattr(instance, name, None)
    if handler is None:
        raise TypeError(f"Default has no `{name}` handler")
    return handler


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _js_response(response: Any) -> Any:
    constructor = getattr(getattr(response, "constructor", None), "name", None)
    if constructor == "Response":
        return response
    js_response = getattr(response, "js_object", None)
    if getattr(getattr(js_response, "constructor", None), "name", None) == "Response":
        return js_response
    type_name = type(response).__name__
    raise TypeError(f"fetch must return a workers.Response, it returned {type_name}")

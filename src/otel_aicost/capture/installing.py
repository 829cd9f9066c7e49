"""Wraps the functions of SDKs as they are imported, and takes the wrappers off again."""

from __future__ import annotations

import inspect
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import wrapt

from otel_aicost.capture.boundary import Watch, attempt
from otel_aicost.capture.sdks import HTTP, SDKS, Sdk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from otel_aicost.capture import Sink
    from otel_aicost.capture.boundary import Wrapper


class Capture:
    """Wraps the SDKs and hands their calls to a sink."""

    def __init__(self, sink: Sink, disabled: Collection[str] = ()) -> None:
        self._watch = Watch(sink)
        sdks = (*SDKS, *HTTP) if sink.settings.apis else SDKS
        self._sdks = tuple(sdk for sdk in sdks if sdk.name not in disabled)
        self._wrapped: list[tuple[Any, str, Any]] = []
        self._under: list[tuple[Any, Any]] = []
        self.patched: dict[str, tuple[str, ...]] = {}
        """SDK -> the functions of it that are wrapped."""

    def install(self) -> None:
        """Wrap what is imported already, and the rest when it is imported."""
        for sdk in self._sdks:
            wrapt.register_post_import_hook(partial(self._patch, sdk), sdk.module)

    def remove(self) -> None:
        """Unwrap; what cannot be (bound before, or wrapped by others since) passes calls on as they are."""
        self._watch.sink = None
        for owner, name, wrapper in self._wrapped:
            if vars(owner).get(name) is wrapper:
                setattr(owner, name, wrapper.__wrapped__)
        for held, ours in self._under:
            if held.__wrapped__ is ours:
                held.__wrapped__ = ours.__wrapped__
        self._wrapped.clear()
        self._under.clear()
        self.patched.clear()

    def _patch(self, sdk: Sdk, module: Any) -> None:  # noqa: ANN401 - the SDK's own module
        if self._watch.sink is None:  # removed before the SDK was imported: hooks cannot be taken back
            return
        done = attempt(self._wrap, sdk, module)
        if done:
            self.patched[sdk.name] = (*self.patched.get(sdk.name, ()), *done)

    def _wrap(self, sdk: Sdk, module: Any) -> list[str]:  # noqa: ANN401
        family = import_module(f"otel_aicost.capture.{sdk.family}")
        groups: Mapping[str, Mapping[str, Wrapper]] = family.wrappers(self._watch, sdk, module)
        return [
            f"{path}.{next(iter(methods))}".lstrip(".")
            for path, methods in groups.items()
            if attempt(self._wrap_group, module, path, methods)
        ]

    def _wrap_group(self, module: Any, path: str, methods: Mapping[str, Wrapper]) -> bool:  # noqa: ANN401
        """Wrap functions that are of no use without each other: all, or none. Raises if the SDK lacks one."""
        owner = module
        for part in path.split(".") if path else ():
            owner = getattr(owner, part)
        for method in methods:
            getattr(owner, method)
        for method, wrapper in methods.items():
            original = vars(owner).get(method)
            wrapt.wrap_function_wrapper(owner, method, wrapper)
            ours = vars(owner)[method]
            self._wrapped.append((owner, method, ours))
            if inspect.isclass(owner):
                self._wrap_under_others(owner, method, original, ours)
        return True

    def _wrap_under_others(self, owner: type, method: str, original: Any, ours: Any) -> None:  # noqa: ANN401
        """Come between a wrapper that others have put onto a subclass and the function that it leads to.

        Some leave that function there when they take their wrapper off again: then ours takes its place.
        """
        subclass: type
        for subclass in owner.__subclasses__():
            held = vars(subclass).get(method)
            if held is original and held is not None:
                setattr(subclass, method, ours)
                self._wrapped.append((subclass, method, ours))
            while isinstance(held, wrapt.FunctionWrapper):
                if held.__wrapped__ is original:
                    held.__wrapped__ = ours
                    self._under.append((held, ours))
                    break
                held = held.__wrapped__
            self._wrap_under_others(subclass, method, original, ours)

"""`@cached`: a function's answers, kept in this process and, within a connection, by the sidecar."""

import contextlib
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from ringfence.envelope import Envelope
from ringfence.errors import RingfenceError
from ringfence.local import LOCAL

P = ParamSpec("P")
R = TypeVar("R")
_LOCAL_SECONDS = 5.0


class Keeps(Protocol):
    """Where answers are kept besides."""

    async def find(self, key: str) -> Envelope | None:
        """Return the envelope of a value, or None."""

    async def set(self, key: str, value: Any, *, ttl: float, tags: Sequence[str]) -> None:
        """Keep a value."""


@dataclass(frozen=True, slots=True)
class Blocking:
    """The same, for functions that are not async."""

    keeps: Keeps
    run: Callable[[Coroutine[Any, Any, Any]], Any]


KEEPS: ContextVar[Keeps | None] = ContextVar("ringfence-keeps", default=None)
BLOCKING: ContextVar[Blocking | None] = ContextVar("ringfence-blocking", default=None)


def cached(
    *,
    ttl: float,
    tags: Sequence[str] = (),
    local_ttl: float = _LOCAL_SECONDS,
    key: Callable[..., str] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep what a function, async or not, answers to the same arguments, for `ttl` seconds.

    Within a connection (`connect` for async functions, `sync.connect` for others) the sidecar keeps it as one of the
    agent's own values, so it outlives the process; this process asks again after `local_ttl` seconds, so that is how
    late it may hear of a tag that somebody else has invalidated. Without one, and while the sidecar is away, this
    process keeps it alone.

    Arguments and answers are JSON values (raises TypeError for others); `key` makes something else of the arguments,
    which tells functions apart only together with their names. An exception is kept by nobody.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        kept = _Kept(function, ttl=ttl, tags=tuple(tags), local_ttl=local_ttl, key=key)
        return cast("Callable[P, R]", kept.wrap_async() if inspect.iscoroutinefunction(function) else kept.wrap())

    return decorate


class _Kept:
    """One function's answers."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        ttl: float,
        tags: tuple[str, ...],
        local_ttl: float,
        key: Callable[..., str] | None,
    ) -> None:
        self._function = function
        self._ttl = ttl
        self._tags = tags
        self._local_ttl = local_ttl
        self._make_key = key
        self._name = f"{function.__module__}.{function.__qualname__}"

    def wrap(self) -> Callable[..., Any]:
        """Return a function that is not async."""

        @functools.wraps(self._function)
        def call(*args: Any, **kwargs: Any) -> Any:
            key = self._key(args, kwargs)
            if (value := LOCAL.get(key)) is not LOCAL.missing:
                return value
            epoch, there = LOCAL.epoch(self._tags), BLOCKING.get()
            if there is not None and (value := there.run(self._find(there.keeps, key, epoch))) is not LOCAL.missing:
                return value
            value = self._function(*args, **kwargs)
            if self._keep(key, value, epoch, is_shared=there is not None) and there is not None:
                there.run(self._share(there.keeps, key, value))
            return value

        return call

    def wrap_async(self) -> Callable[..., Any]:
        """Return an async function."""

        @functools.wraps(self._function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            key = self._key(args, kwargs)
            if (value := LOCAL.get(key)) is not LOCAL.missing:
                return value
            epoch, keeps = LOCAL.epoch(self._tags), KEEPS.get()
            if keeps is not None and (value := await self._find(keeps, key, epoch)) is not LOCAL.missing:
                return value
            value = await self._function(*args, **kwargs)
            if self._keep(key, value, epoch, is_shared=keeps is not None) and keeps is not None:
                await self._share(keeps, key, value)
            return value

        return call

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        given = self._make_key(*args, **kwargs) if self._make_key else _text([args, kwargs] if kwargs else args)
        return f"{self._name}({given})"

    def _keep(self, key: str, value: Any, epoch: int, *, is_shared: bool) -> bool:
        """Keep an answer here; return False if it is out of date already. Raises TypeError for what is not JSON."""
        text = json.dumps(value)
        if json.loads(text) != value:
            raise TypeError(f"{self._name} is cached, so it must answer a JSON value: lists, not tuples, str keys")
        seconds = min(self._ttl, self._local_ttl) if is_shared else self._ttl
        return LOCAL.set(key, text, seconds=seconds, tags=self._tags, epoch=epoch)

    async def _find(self, keeps: Keeps, key: str, epoch: int) -> Any:
        try:
            found = await keeps.find(_digest(key))
        except RingfenceError:
            return LOCAL.missing  # the function can still be asked
        if found is None:
            return LOCAL.missing
        value = found.data["value"]
        age = found.metadata.cache.age_seconds if found.metadata.cache else 0.0
        seconds = min(self._ttl - age, self._local_ttl)
        LOCAL.set(key, json.dumps(value), seconds=seconds, tags=self._tags, epoch=epoch)
        return value

    async def _share(self, keeps: Keeps, key: str, value: Any) -> None:
        with contextlib.suppress(RingfenceError):  # the answer is there, and kept here
            await keeps.set(_digest(key), value, ttl=self._ttl, tags=self._tags)


def _digest(key: str) -> str:
    """Return a key that is short enough for the sidecar, whatever the arguments."""
    return f"cached:{hashlib.sha256(key.encode()).hexdigest()}"


def _text(value: Any) -> str:
    """Return JSON that tells arguments apart. Raises TypeError for what JSON would write as something else."""
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise TypeError("arguments of a cached function are JSON values, with str keys: give `key` for others")
        return "{" + ",".join(f"{json.dumps(name)}:{_text(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    try:
        return json.dumps(value)
    except TypeError as error:
        raise TypeError(f"arguments of a cached function are JSON values: give `key` for others ({error})") from None

"""Microsoft's Python runtime (azure-functions-runtime), driven in this process without protobuf or gRPC.

The runtime indexes an app once per process: a second host in the same process must load the same directory.
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime
from azure_functions_runtime.native_invocation import invocation_request_native

from fleetcert.local.functions_host.trace_context import next_context

_MODULE = "function_app"
_LARGEST_EXPONENT = 32
_JITTER = 0.2


class IndexingFailed(Exception):
    """The app could not be loaded; the message is the worker's, with its stack trace."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A function-level retry policy. max_retries -1: for ever. fixed: every delay is `minimum`."""

    fixed: bool
    max_retries: int
    minimum: timedelta
    maximum: timedelta

    def allows(self, retries: int) -> bool:
        """Whether another attempt follows after that many retries."""
        return self.max_retries < 0 or retries < self.max_retries

    def delay(self, retries: int) -> timedelta:
        """The wait before the next attempt: fixed, or exponential with 20 % of jitter between the two bounds."""
        if self.fixed:
            return self.minimum
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # spreads load, keeps no secret
        grown = self.minimum.total_seconds() * 2 ** min(retries, _LARGEST_EXPONENT) * jitter
        bounded = min(max(grown, self.minimum.total_seconds()), self.maximum.total_seconds())
        return timedelta(seconds=bounded)


@dataclass(frozen=True, slots=True)
class Function:
    """A function as the runtime indexed it; bindings are the decorators' members, not yet expanded."""

    name: str
    function_id: str
    trigger: Mapping[str, Any]
    outputs: Sequence[Mapping[str, Any]]
    retry: RetryPolicy | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one invocation ended. returned and outputs are Datums; error is the exception's repr."""

    ok: bool
    returned: Any
    outputs: Mapping[str, Any]
    error: str | None


class Engine:
    """Loads an app and invokes its functions."""

    def __init__(self, app_directory: Path) -> None:
        self._directory = app_directory.resolve()
        self.running: dict[str, str] = {}  # function name by invocation id, for log lines

    async def start(self) -> list[Function]:
        """Indexes the app. Raises: IndexingFailed."""
        runtime.start_threadpool_executor()
        if not self._is_loaded():
            await self._load()
        response = await runtime.functions_metadata_request(_request())
        return [_function(metadata) for metadata in response.function_metadata_results or ()]

    def stop(self) -> None:
        """Ends the threads that synchronous functions run in."""
        runtime.stop_threadpool_executor()

    async def invoke(
        self,
        function: Function,
        invocation_id: str,
        inputs: Mapping[str, Any],
        metadata: Mapping[str, Any],
        retries: int = 0,
        caller: str | None = None,
    ) -> Outcome:
        """Runs the function once; what it raises is in the outcome. inputs and metadata: Datums by name.

        caller: the `traceparent` of who asked for it, where that is known.
        """
        ok, returned, outputs, error, _ = await invocation_request_native(
            invocation_id,
            function.function_id,
            list(inputs.items()),
            dict(metadata),
            trace_parent=next_context(caller),
            retry_count=retries,
            max_retry_count=function.retry.max_retries if function.retry else 0,
        )
        return Outcome(ok, returned, dict(outputs), error)

    @contextmanager
    def invocation(self, function: Function) -> Iterator[str]:
        """A new invocation id; log lines within the block belong to it."""
        invocation_id = str(uuid.uuid4())
        self.running[invocation_id] = function.name
        token = runtime.invocation_id_cv.set(invocation_id)
        try:
            yield invocation_id
        finally:
            runtime.invocation_id_cv.reset(token)
            del self.running[invocation_id]

    def _is_loaded(self) -> bool:
        module = sys.modules.get(_MODULE)
        if module is None:
            return False
        directory = Path(module.__file__ or "").resolve().parent
        if directory != self._directory:
            raise IndexingFailed(f"this process has loaded the app in {directory}; the runtime loads one app a process")
        return True

    async def _load(self) -> None:
        if not (self._directory / f"{_MODULE}.py").is_file():
            raise IndexingFailed(f"{self._directory} holds no {_MODULE}.py")
        sys.path.insert(0, str(self._directory))
        init = SimpleNamespace(capabilities={}, function_app_directory=str(self._directory))
        request = _request(worker_init_request=init)
        request.properties = {"protos": _PROTOS, "host": "127.0.0.1"}
        result = (await runtime.worker_init_request(request)).result
        if result.status != _StatusResult.Success:
            sys.modules.pop(_MODULE, None)
            raise IndexingFailed(f"{result.exception.message}\n{result.exception.stack_trace}")


class _Message:
    """Stands in for a protobuf message: the runtime only sets and reads its attributes."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class _BindingInfo(_Message):
    undefined, out, inout = 0, 1, 2


class _StatusResult(_Message):
    Failure, Success, Cancelled = 0, 1, 2


_PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    StatusResult=_StatusResult,
    FunctionMetadataResponse=_Message,
    RpcException=_Message,
    RpcFunctionMetadata=_Message,
    RpcRetryOptions=_Message,
    WorkerInitResponse=_Message,
    WorkerMetadata=_Message,
)


def _request(**messages: Any) -> SimpleNamespace:
    return SimpleNamespace(request=SimpleNamespace(**messages), properties={})


def _function(metadata: Any) -> Function:
    bindings = [json.loads(binding) for binding in metadata.raw_bindings]
    return Function(
        name=metadata.name,
        function_id=metadata.function_id,
        trigger=next(binding for binding in bindings if binding["type"].lower().endswith("trigger")),
        outputs=[binding for binding in bindings if binding["direction"] == "OUT"],
        retry=_retry_policy(metadata.retry_options),
    )


def _retry_policy(options: Any) -> RetryPolicy | None:
    if options is None:
        return None
    if options.retry_strategy == "fixed_delay":
        return RetryPolicy(True, options.max_retry_count, options.delay_interval, options.delay_interval)
    return RetryPolicy(False, options.max_retry_count, options.minimum_interval, options.maximum_interval)

"""The app whose functions are traced: each invocation is a span below the host's own, and is measured.

Azure's host exports the request or delivery that it sees as a server's span (`telemetryMode` in host.json). What the
worker adds is the inside of that, so that its span is an internal one, as in Microsoft's .NET worker; a second server's
span would count every request twice. The host's context comes with the invocation: it is taken from there and not from
what the worker may have attached.
"""

from __future__ import annotations

import functools
import inspect
import time
import typing
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import azure.functions as func

from shared import telemetry, tracing
from shared.composition import app

if typing.TYPE_CHECKING:
    from functions.invocations import Trigger

type Handler = Callable[..., Awaitable[Any]]


class TracedApp(func.FunctionApp):
    """A function app that hands its functions out traced."""

    def get_functions(self) -> typing.List[func.Function]:
        """All functions, as the runtime indexes them."""
        return [TracedFunction(function) for function in super().get_functions()]


class TracedFunction(func.Function):
    """A function with all that its decorators said, and a span around it."""

    def __init__(self, function: func.Function) -> None:
        vars(self).update(vars(function))

    def get_user_function(self) -> Handler:
        """What the runtime calls. It asks for the invocation's context beside the function's own arguments."""
        handle: Handler = super().get_user_function()
        invocation = _Invocation(self, handle)

        @functools.wraps(handle)
        async def invoke(context: func.Context, **arguments: Any) -> Any:
            return await invocation.run(context, arguments)

        signature = inspect.signature(handle)
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=func.Context)
        vars(invoke)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), context])
        invoke.__annotations__ = {**typing.get_type_hints(handle), "context": func.Context}
        return invoke


class _Invocation:
    """Runs one function. Nothing is looked at where nothing is traced."""

    _is_cold: typing.ClassVar[bool] = True

    def __init__(self, function: func.Function, handle: Handler) -> None:
        self._function = function
        self._name = function.get_function_name() or ""
        self._handle = handle

    @functools.cached_property
    def _trigger(self) -> Trigger:
        from functions.invocations import Trigger

        return Trigger.of(self._function, app.expanded)

    async def run(self, context: func.Context, arguments: Mapping[str, Any]) -> Any:
        """One invocation. Raises: what the function raises."""
        app.observe()
        if not tracing.is_on():
            return await self._handle(**arguments)
        seen, started = self._trigger.see(arguments), time.perf_counter()
        parent = context.trace_context.trace_parent
        attributes = {**seen.attributes, **self._described(context)}
        labels = {"faas.name": self._name, "faas.trigger": self._trigger.faas}
        try:
            with tracing.span(self._name, attributes=attributes, parent=parent, links=seen.links) as span:
                result = await self._handle(**arguments)
                if isinstance(result, func.HttpResponse):
                    _note_answer(result.status_code, span, labels)
                return result
        except Exception:  # whatever a function raises counts as its error, and goes on to the host
            telemetry.note(telemetry.FUNCTION_ERRORS, 1, labels)
            raise
        finally:
            telemetry.note(telemetry.INVOKE_DURATION, time.perf_counter() - started, labels)

    def _described(self, context: func.Context) -> dict[str, tracing.Value]:
        is_cold, _Invocation._is_cold = _Invocation._is_cold, False
        described: dict[str, tracing.Value] = {
            "faas.name": f"{app.site}/{self._name}",
            "faas.invocation_id": context.invocation_id,
            "faas.coldstart": is_cold,
        }
        retries = context.retry_context.retry_count if context.retry_context else 0
        return described | ({"fleetcert.retries": retries} if retries else {})


def _note_answer(status: int, span: tracing.Spanning, labels: Mapping[str, str]) -> None:
    span.note("http.response.status_code", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(str(status))
        telemetry.note(telemetry.FUNCTION_ERRORS, 1, labels)

"""Requests to REST services as spans and durations, in the words of OpenTelemetry's HTTP conventions.

A policy for pipelines on azure-core, last before the transport, so that each attempt is a span; and a block for what
sends its requests otherwise. The SDKs' clients are traced as ports; `AZURE_SDK_TRACING_ENABLED` adds their requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

from shared import telemetry
from shared.calling import Call, calling
from shared.tracing import Spanning, Value

_ANSWERS: Final = frozenset({404, 412})
"""That something is not there, or has changed meanwhile, is what was asked for."""


class RequestSpans(AsyncHTTPPolicy[Any, Any]):
    """Traces what passes."""

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Hands on, and notes the answer."""
        sent = request.http_request
        with requesting(sent.method, sent.url) as span:
            response = await self.next.send(request)
            note_answer(span, response.http_response.status_code)
            return response


@contextmanager
def requesting(method: str, url: str) -> Iterator[Spanning]:
    """One request, as long as the block. The query stays out of it."""
    parts = urlsplit(url)
    attributes: dict[str, Value] = {
        "http.request.method": method,
        "url.full": f"{parts.scheme}://{parts.netloc}{parts.path}",
        "server.address": parts.hostname or "",
        "server.port": parts.port or 443,
    }
    with calling(Call(method, telemetry.REQUEST_DURATION, attributes)) as span:
        yield span


def note_answer(span: Spanning, status: int) -> None:
    """What came back."""
    span.note("http.response.status_code", status)
    if status >= 400 and status not in _ANSWERS:
        span.fail(str(status))

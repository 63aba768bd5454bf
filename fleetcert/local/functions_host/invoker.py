"""Every invocation passes here: retry policies, output bindings, and a stop that lets running work finish."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from azure.core.exceptions import AzureError

from fleetcert.local.functions_host.engine import Engine, Function, Outcome
from fleetcert.local.functions_host.outputs import OutputBindings

logger = logging.getLogger(__name__)


class Stopping(Exception):
    """The host stops: the work at hand is not finished and nobody may take it for finished."""


class Invoker:
    """Runs functions on the engine and knows what is still at work."""

    def __init__(self, engine: Engine, outputs: OutputBindings) -> None:
        self._engine = engine
        self._outputs = outputs
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._at_work = 0

    @property
    def is_stopping(self) -> bool:
        """Whether no more work is admitted."""
        return self._stopping.is_set()

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """One unit of work, its acknowledgement included, that a stop waits for. Raises: Stopping."""
        if self._stopping.is_set():
            raise Stopping
        self._at_work += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._at_work -= 1
            if self._at_work == 0:
                self._idle.set()

    async def once(
        self,
        function: Function,
        inputs: Mapping[str, Any],
        metadata: Mapping[str, Any],
        retries: int = 0,
        caller: str | None = None,
    ) -> Outcome:
        """One invocation and its output bindings; an output that cannot be written fails the invocation.

        caller: the `traceparent` that a request brings.
        """
        with self._engine.invocation(function) as invocation_id:
            logger.debug("executing")
            started = time.perf_counter()
            outcome = await self._engine.invoke(function, invocation_id, inputs, metadata, retries, caller)
            if outcome.ok:
                outcome = await self._write_outputs(function, outcome)
            elapsed = (time.perf_counter() - started) * 1000
            if outcome.ok:
                logger.debug("succeeded in %.0f ms", elapsed)
            else:
                logger.warning("failed in %.0f ms (retry %d): %s", elapsed, retries, outcome.error)
            return outcome

    async def with_retries(self, function: Function, inputs: Mapping[str, Any], metadata: Mapping[str, Any]) -> Outcome:
        """Invokes until it succeeds or the function's retry policy ends. Raises: Stopping."""
        retries = 0
        while True:
            outcome = await self.once(function, inputs, metadata, retries)
            if outcome.ok or function.retry is None or not function.retry.allows(retries):
                return outcome
            await self._pause(function.retry.delay(retries))
            retries += 1

    async def drain(self, limit: timedelta) -> bool:
        """Admits no more work and waits for what runs; whether all of it finished within the limit."""
        self._stopping.set()
        try:
            await asyncio.wait_for(self._idle.wait(), limit.total_seconds())
        except TimeoutError:
            logger.warning("%d invocations did not finish within %s and are cancelled", self._at_work, limit)
            return False
        return True

    async def _write_outputs(self, function: Function, outcome: Outcome) -> Outcome:
        try:
            await self._outputs.write(function, outcome)
        except AzureError as error:
            return dataclasses.replace(outcome, ok=False, error=f"output binding: {error!r}")
        return outcome

    async def _pause(self, delay: timedelta) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), delay.total_seconds())
        except TimeoutError:
            return
        raise Stopping

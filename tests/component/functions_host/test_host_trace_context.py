"""The trace context that the local host gives to a worker."""

from __future__ import annotations

import pytest

from fleetcert.local.functions_host.trace_context import next_context

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def test_a_callers_trace_goes_on_under_a_span_of_the_hosts():
    version, trace_id, span_id, flags = next_context(CALLER).split("-")
    assert (version, trace_id, flags) == ("00", CALLER[3:35], "00"), "whether it is sampled is the caller's decision"
    assert span_id != CALLER[36:52]


@pytest.mark.parametrize("caller", [None, "", "garbled", f"00-{'0' * 32}-00f067aa0ba902b7-01", CALLER.upper()])
def test_without_a_callers_context_each_invocation_begins_a_sampled_trace(caller: str | None):
    first, second = next_context(caller), next_context(caller)
    assert first.split("-")[1] != second.split("-")[1]
    assert [len(part) for part in first.split("-")] == [2, 32, 16, 2]
    assert first.endswith("-01")

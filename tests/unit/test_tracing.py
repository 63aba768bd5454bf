"""Spans: contexts as texts, links, failures, and commands as traces."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind, StatusCode
from support.measuring import id_of, links_of, parent_of, trace_of, tracing_on

from shared import tracing
from shared.errors import Conflict

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_span_is_below_the_one_around_it():
    with tracing_on() as traced, tracing.span("outer") as outer, tracing.span("inner", "client"):
        outer.note("fleetcert.rows", 3)
    outer_span, inner_span = traced.one("outer"), traced.one("inner")
    assert parent_of(inner_span) == id_of(outer_span)
    assert (outer_span.kind, inner_span.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert dict(outer_span.attributes or {}) == {"fleetcert.rows": 3}


def test_a_parent_that_is_named_wins_over_the_one_around():
    with tracing_on() as traced, tracing.span("outer"), tracing.span("inner", parent=PARENT):
        pass
    inner = traced.one("inner")
    assert (trace_of(inner), parent_of(inner)) == (PARENT[3:35], PARENT[36:52])


@pytest.mark.parametrize("parent", [None, "", "garbled", PARENT.replace("4b", "xx"), f"00-{'0' * 32}-{'0' * 16}-01"])
def test_what_is_no_context_is_no_parent_and_no_link(parent: str | None):
    with tracing_on() as traced, tracing.span("outer"), tracing.span("inner", parent=parent, links=[parent or ""]):
        pass
    assert parent_of(traced.one("inner")) == id_of(traced.one("outer"))
    assert links_of(traced.one("inner")) == set()


def test_links_are_bounded_and_each_is_kept_once():
    many = [f"00-{n + 1:032x}-{n + 1:016x}-01" for n in range(300)]
    with tracing_on() as traced, tracing.span("batch", links=[PARENT, PARENT, *many]):
        pass
    assert len(traced.one("batch").links) == tracing.MOST_LINKS


def test_what_is_raised_names_the_failure_and_is_raised_on():
    with tracing_on() as traced:
        with pytest.raises(ValueError, match="torn"), tracing.span("work"):
            raise ValueError("torn")
        with pytest.raises(Conflict), tracing.span("answer", answers=(Conflict,)):
            raise Conflict("row")
    failed = traced.one("work")
    assert (failed.status.status_code, (failed.attributes or {})["error.type"]) == (StatusCode.ERROR, "ValueError")
    assert failed.events == (), "a message may hold anything"
    assert traced.one("answer").status.status_code is StatusCode.UNSET


def test_the_context_around_can_be_handed_on():
    with tracing_on() as traced:
        assert tracing.current() is None
        with tracing.span("here"):
            here = tracing.current()
        with tracing.span("elsewhere", links=[here or ""]):
            pass
    assert tracing.is_traceparent(here)
    assert links_of(traced.one("elsewhere")) == {id_of(traced.one("here"))}


def test_a_span_can_tell_of_what_is_over():
    with tracing_on() as traced, tracing.span("stream", began=1_000):
        pass
    assert traced.one("stream").start_time == 1_000


def test_where_nothing_is_connected_blocks_run_as_they_are():
    assert not tracing.is_on()
    with tracing.span("work") as span:
        span.note("fleetcert.rows", 1)
        span.fail("nothing")
        assert tracing.current() is None
    with pytest.raises(ValueError, match="torn"), tracing.span("work"):
        raise ValueError("torn")


@given(st.uuids(version=5))
def test_a_commands_id_is_its_traces_id_whoever_asks(command: uuid.UUID):
    root = tracing.of_command(str(command))
    assert root == tracing.of_command(str(command).upper())
    assert tracing.is_traceparent(root)
    assert root[3:35] == command.hex


@pytest.mark.parametrize("text", ["", "c-1", "None"])
def test_an_id_of_another_form_has_no_trace(text: str):
    assert tracing.of_command(text) is None

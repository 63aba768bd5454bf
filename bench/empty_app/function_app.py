# ruff: noqa: UP006, UP035 - list[...] in a trigger's annotation breaks the runtime's indexing
"""The least that an event hub trigger can do: what every function pays before it begins."""

from typing import List

import azure.functions as func

app = func.FunctionApp()


@app.function_name("empty")
@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="iot-events",
    connection="IotEvents",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
async def empty(events: List[func.EventHubEvent]) -> None:
    """Does nothing."""

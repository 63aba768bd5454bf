"""What an invocation is in the words of OpenTelemetry's semantic conventions: FaaS, messaging, HTTP.

Application Insights drops what the conventions name from spans that are no request of its own; what people look for has
a name of ours beside them (`fleetcert.*`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import azure.functions as func

from shared.tracing import Value, is_traceparent

_CARRIERS: Final = ("traceparent", "Diagnostic-Id")
"""Event properties in which Azure's SDKs carry the producer's context; the second is its name from before W3C."""
_IDS: Final[Mapping[str, str]] = {
    "deviceId": "fleetcert.device.id",
    "commandId": "fleetcert.command.id",
    "operationId": "fleetcert.operation.id",
}


@dataclass(slots=True)
class Seen:
    """What is known of one invocation when it begins. links: the contexts of those who sent what it works on."""

    attributes: dict[str, Value] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trigger:
    """What invokes a function. faas: `faas.trigger`; argument: the name of what it hands over."""

    faas: str
    argument: str
    attributes: Mapping[str, str]
    look: Callable[[Any, Seen], None]

    @classmethod
    def of(cls, function: func.Function, expand: Callable[[str], str]) -> Trigger:
        """From a function's decorators. expand: puts settings in place of `%NAME%`."""
        binding = {} if (trigger := function.get_trigger()) is None else trigger.get_dict_repr()
        named = {name: expand(value) for name, value in binding.items() if isinstance(value, str)}
        match named.get("type"):
            case "httpTrigger":
                return cls("http", named["name"], {"http.route": f"/api/{named.get('route', '')}"}, _look_at_request)
            case "timerTrigger":
                return cls("timer", named["name"], {"faas.cron": named["schedule"]}, _look_at_timer)
            case "queueTrigger":
                queue = _messaging("azure.queues", named["queueName"])
                return cls("pubsub", named["name"], queue, _look_at_message)
            case "eventHubTrigger":
                group = {"messaging.consumer.group.name": named.get("consumerGroup", "$Default")}
                hub = _messaging("eventhubs", named["eventHubName"])
                return cls("pubsub", named["name"], hub | group, _look_at_events)
            case other:
                raise TypeError(f"{function.get_function_name()}: nobody has said how a {other} is traced")

    def see(self, arguments: Mapping[str, Any]) -> Seen:
        """What this invocation is about."""
        seen = Seen({"faas.trigger": self.faas, **self.attributes})
        self.look(arguments[self.argument], seen)
        return seen


def _messaging(system: str, destination: str) -> dict[str, str]:
    return {
        "messaging.system": system,
        "messaging.destination.name": destination,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
    }


def _look_at_request(request: func.HttpRequest, seen: Seen) -> None:
    scheme, _, rest = request.url.partition("://")
    seen.attributes |= {
        "http.request.method": request.method.upper(),
        "url.scheme": scheme,
        "url.path": f"/{rest.partition('/')[2].partition('?')[0]}",  # without the query: it is the caller's
    }
    seen.attributes |= _ids(request.route_params)


def _look_at_timer(timer: func.TimerRequest, seen: Seen) -> None:
    seen.attributes["fleetcert.past_due"] = timer.past_due


def _look_at_message(message: func.QueueMessage, seen: Seen) -> None:
    if message.id:
        seen.attributes["messaging.message.id"] = message.id
    if message.dequeue_count:
        seen.attributes["fleetcert.dequeue_count"] = message.dequeue_count
    try:
        body = json.loads(message.get_body())
    except ValueError:  # the function will say so
        return
    if isinstance(body, dict):
        seen.attributes |= _ids(body)
        seen.links.extend(_carried([body]))


def _look_at_events(events: Sequence[func.EventHubEvent], seen: Seen) -> None:
    count = len(events)
    seen.attributes |= {"messaging.batch.message_count": count, "fleetcert.events": count}
    metadata = (events[0].metadata or {}) if events else {}
    partition = metadata.get("PartitionContext")
    if isinstance(partition, Mapping):
        seen.attributes["messaging.destination.partition.id"] = str(partition.get("PartitionId", ""))
    seen.links.extend(_carried(metadata.get("PropertiesArray") or []))


def _carried(carriers: Sequence[Any]) -> Iterator[str]:
    """The producers' contexts."""
    for carrier in carriers:
        if isinstance(carrier, Mapping):
            yield from (text for name in _CARRIERS if is_traceparent(text := carrier.get(name)))


def _ids(members: Mapping[str, Any]) -> dict[str, Value]:
    return {ours: str(members[name]) for name, ours in _IDS.items() if members.get(name)}

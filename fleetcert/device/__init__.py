"""The reference device agent: what runs on a device. The names below are its library; importing this alone is light."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fleetcert.device.agent import Agent
    from fleetcert.device.assembly import CloudAddress, build_agent, build_world
    from fleetcert.device.credential import OnboardingCredential, SymmetricKeyCredential
    from fleetcert.device.events import AgentEvent, Happened
    from fleetcert.device.keystore import FileKeyStore
    from fleetcert.device.messages import Message
    from fleetcert.device.options import AgentOptions, World
    from fleetcert.device.runner import StopSignal, run, running
    from fleetcert.device.states import State

__all__ = [
    "Agent",
    "AgentEvent",
    "AgentOptions",
    "CloudAddress",
    "FileKeyStore",
    "Happened",
    "Message",
    "OnboardingCredential",
    "State",
    "StopSignal",
    "SymmetricKeyCredential",
    "World",
    "build_agent",
    "build_world",
    "run",
    "running",
]

_HOMES: Final = {
    "Agent": "agent",
    "AgentEvent": "events",
    "AgentOptions": "options",
    "CloudAddress": "assembly",
    "FileKeyStore": "keystore",
    "Happened": "events",
    "Message": "messages",
    "OnboardingCredential": "credential",
    "State": "states",
    "StopSignal": "runner",
    "SymmetricKeyCredential": "credential",
    "World": "options",
    "build_agent": "assembly",
    "build_world": "assembly",
    "run": "runner",
    "running": "runner",
}


def __getattr__(name: str) -> Any:
    """Loads what is asked for, when it is asked for: a tool that needs one module does not pay for MQTT."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

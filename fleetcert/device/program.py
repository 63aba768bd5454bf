"""The agent as a program: `python -m fleetcert.device [status]`. Every option can also be a variable.

Secrets are files, never arguments or variables: both can be read by others. An event is one JSON line on the standard
output.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from fleetcert.device.assembly import AZURE, CloudAddress, Protocol, build_agent, build_world
from fleetcert.device.credential import Onboarding, OnboardingCredential, SymmetricKeyCredential
from fleetcert.device.csr import KeyKind
from fleetcert.device.events import AgentEvent, Observer
from fleetcert.device.glimpse import Glimpse
from fleetcert.device.options import AgentOptions
from fleetcert.device.ports import Way
from fleetcert.device.runner import StopSignal, run, run_until_told
from fleetcert.device.schedule import SELF_RENEWAL_SHARE
from fleetcert.device.systemd import Systemd
from shared.errors import FleetcertError

PREFIX: Final = "FLEETCERT_"
_NEVER: Final = "never"
_STATUS: Final = "status"
_PROGRAM: Final = "fleetcert device"
_LONGEST_SECONDS: Final = 1e7


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs the agent until SIGINT or SIGTERM, or shows its `status`.

    Returns the exit code: 0; 1 for trouble, which is told in one line.
    """
    if arguments[:1] == [_STATUS]:
        return _show_status(arguments[1:], environment)
    parser = _parser(environment)
    chosen = parser.parse_args(arguments)
    try:
        onboarding, passphrase = _onboarding(parser, chosen), _secret(chosen.key_passphrase_file)
    except (OSError, ValueError) as problem:
        parser.error(f"the onboarding credential or a passphrase cannot be used: {problem}")
    try:
        return _run(chosen, onboarding, passphrase, Systemd.from_environment(environment))
    except FleetcertError as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1


def _run(chosen: argparse.Namespace, onboarding: Onboarding, passphrase: bytes | None, systemd: Systemd) -> int:
    stop, failures = StopSignal(), list[Exception]()
    world = build_world(_address(chosen), onboarding, stop, _observer(systemd), with_pem=chosen.report_pem)
    agent = build_agent(
        chosen.registration_id, onboarding, chosen.state_dir, world, _options(chosen), passphrase=passphrase
    )

    def work() -> None:
        try:
            run(agent, stop)
        except Exception as problem:  # it is this thread's end, and the main thread's to tell
            failures.append(problem)

    systemd.is_ready()
    run_until_told([threading.Thread(target=work, name=chosen.registration_id)], stop)
    if failures:
        raise failures[0]
    return 0


def _show_status(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    parser = argparse.ArgumentParser(prog=f"{_PROGRAM} {_STATUS}", description="Shows what a device holds, as JSON.")
    directory = environment.get(f"{PREFIX}STATE_DIR")
    parser.add_argument(
        "directory", type=Path, nargs="?" if directory else None, default=directory, help="its state directory"
    )
    try:
        seen = Glimpse.of(Path(parser.parse_args(arguments).directory))
    except OSError as problem:
        sys.stderr.write(f"error: the state cannot be read: {problem}\n")
        return 1
    sys.stdout.write(f"{json.dumps(seen.to_wire(), indent=2)}\n")
    return 0


def _observer(systemd: Systemd) -> Observer:
    def observe(event: AgentEvent) -> None:
        sys.stdout.write(f"{json.dumps(event.to_wire())}\n")
        sys.stdout.flush()
        systemd.tell(event)

    return observe


def _address(chosen: argparse.Namespace) -> CloudAddress:
    return CloudAddress(
        id_scope=chosen.id_scope,
        dps_endpoint=chosen.dps_endpoint,
        ca_bundle=chosen.ca_bundle,
        mqtt_port=chosen.mqtt_port,
        dps_protocol=chosen.dps_protocol,
    )


def _options(chosen: argparse.Namespace) -> AgentOptions:
    defaults = AgentOptions()
    return AgentOptions(
        self_renewal=chosen.renew_at,
        key_kind=chosen.key_type,
        renew_by=chosen.renew_via,
        first_pause=min(defaults.first_pause, chosen.longest_pause),
        longest_pause=chosen.longest_pause,
        hub_given_up_after=chosen.ask_dps_after,
    )


def _onboarding(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Onboarding:
    """Raises: OSError, ValueError; ends the program where it is not clear which credential is meant."""
    certificate = chosen.onboarding_cert, chosen.onboarding_key
    if chosen.symmetric_key_file and not any(certificate):
        return SymmetricKeyCredential.from_base64(chosen.symmetric_key_file.read_text("ascii"))
    if not all(certificate) or chosen.symmetric_key_file:
        parser.error("give --onboarding-cert and --onboarding-key, or --symmetric-key-file alone")
    return OnboardingCredential.load(*certificate, _secret(chosen.onboarding_passphrase_file))


def _secret(file: Path | None) -> bytes | None:
    """The first line of a file. Raises: OSError, ValueError where it is empty."""
    if file is None:
        return None
    secret = file.read_bytes().partition(b"\n")[0].rstrip(b"\r")
    if not secret:
        raise ValueError(f"{file} holds no passphrase")
    return secret


class _Options:
    """Adds options of which each is a variable, too: `--id-scope` is `FLEETCERT_ID_SCOPE`."""

    def __init__(self, parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
        self._parser = parser
        self._environment = environment

    def add(self, name: str, meaning: str, default: str | None = None, **options: Any) -> None:
        """An option that must be given if `default` is empty."""
        variable = f"{PREFIX}{name.removeprefix('--').replace('-', '_').upper()}"
        value = self._environment.get(variable) or default
        shown = f"{meaning} [{variable}{f'; {default}' if default else ''}]"
        self._parser.add_argument(name, help=shown, default=value, required=value == "", **options)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{_PROGRAM} run",
        description="Onboards the device and keeps it connected and renewed, until SIGTERM.",
        allow_abbrev=False,
    )
    options = _Options(parser, environment)
    options.add("--registration-id", "registration id at DPS", "")
    options.add("--id-scope", "id scope of DPS", "")
    options.add("--state-dir", "where the device keeps its keys and certificates", "", type=Path)
    _add_credentials(options)
    _add_services(options)
    _add_behaviour(options)
    return parser


def _add_credentials(options: _Options) -> None:
    options.add("--onboarding-cert", "PEM: bootstrap certificate and its intermediates", type=Path)
    options.add("--onboarding-key", "PEM: the bootstrap certificate's key", type=Path)
    options.add("--onboarding-passphrase-file", "first line: passphrase of that key", type=Path)
    options.add("--symmetric-key-file", "base64: the device's own symmetric key, in place of a certificate", type=Path)
    options.add("--key-passphrase-file", "first line: encrypts the keys in the state directory", type=Path)


def _add_services(options: _Options) -> None:
    options.add("--dps-endpoint", "base URL of DPS", AZURE)
    options.add("--dps-protocol", "how to speak to DPS: https or mqtt", Protocol.HTTPS.value, type=Protocol)
    options.add("--ca-bundle", "PEM: the CAs of the services; the system's where not given", type=Path)
    options.add("--mqtt-port", "MQTT port of the hub, and of DPS", "8883", type=int)


def _add_behaviour(options: _Options) -> None:
    share = str(float(SELF_RENEWAL_SHARE))
    options.add("--key-type", f"of new keys: {', '.join(KeyKind)}", KeyKind.P384.value, type=KeyKind)
    options.add("--renew-via", "dps or iothub, where a command does not say", Way.DPS.value, type=Way)
    options.add("--renew-at", "renew unasked after this share of the life, or never", share, type=_share)
    options.add("--report-pem", "report certificates whole: yes or no", "yes", type=_yes_or_no)
    options.add("--longest-pause", "seconds between two attempts at most", "900", type=_seconds)
    options.add("--ask-dps-after", "seconds without a hub until DPS is asked for another", "3600", type=_seconds)


def _share(text: str) -> Fraction | None:
    if text == _NEVER:
        return None
    if not 0 < float(text) < 1:
        raise ValueError(text)
    return Fraction(text)


def _seconds(text: str) -> timedelta:
    if not 0 < float(text) < _LONGEST_SECONDS:
        raise ValueError(text)
    return timedelta(seconds=float(text))


def _yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(text)
    return text == "yes"

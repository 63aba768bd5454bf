"""The scenarios. Each is a rule of docs/device-contract.md under the same name, told to a device and looked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from fleetcert.local.conformance.trial import Trial
from shared.contracts import CERTIFICATE_PROPERTY, ONBOARDING_PROPERTY, parse_instant

type Scenario = Callable[[Trial], None]

_CALM_SECONDS: Final = 4.0
_SHUT_OUT_SECONDS: Final = 15.0
_ATTEMPTS_AT_THE_HUB: Final = 45
_ATTEMPTS_AT_BOTH: Final = 20
"""At most in that time, for a device that makes pauses of seconds. DPS makes each attempt last a second by itself."""
_MEMBERS: Final = {"validFrom", "validUntil", "thumbprint", "serialNumber", "issuer", "pem"}
_OF_ONBOARDING: Final = {"thumbprint", "validUntil", "pem"}


def onboards(trial: Trial) -> None:
    """Registers at DPS with a CSR of its own key, and connects with the certificate that it was issued."""
    trial.device.start()
    trial.until("it registers at DPS", lambda: trial.cloud.registrations.of(trial.id))
    trial.until("it is issued a certificate", lambda: trial.issued)
    trial.until("it connects with it", lambda: trial.cloud.connected_with(trial.id) == trial.issued[-1].thumbprint)
    trial.require(len(trial.issued) == 1, f"it had {len(trial.issued)} certificates issued to come in once")


def reports_whole(trial: Trial) -> None:
    """Reports certificate and onboarding credential in one patch, every member of both, true to the second."""
    issued = trial.bring_up()
    told = trial.until("its report comes by the hub's routes", trial.reports)
    trial.require(len(told) == 1, f"it reported its certificate in {len(told)} patches")
    certificate, onboarding = told[0][CERTIFICATE_PROPERTY] or {}, told[0].get(ONBOARDING_PROPERTY)
    missing = _MEMBERS - certificate.keys()
    trial.require(not missing, f"certificate lacks {sorted(missing)}: what is not given is null")
    trial.require(isinstance(onboarding, dict), "onboarding is not in the same patch")
    missing = _OF_ONBOARDING - (onboarding or {}).keys()
    trial.require(not missing, f"onboarding lacks {sorted(missing)}: what is not given is null")
    trial.require(trial.newest() == issued, "what it reported is not the certificate that it is connected with")


def obeys_a_command(trial: Trial) -> None:
    """Renews at a command, with a new key, and says so in `renewal`."""
    old = trial.bring_up()
    command_id = trial.command(old)
    new = trial.renewed(old)
    trial.require(new.key != old.key, "the new certificate is of the old key")
    trial.until(
        "renewal says that the command was obeyed",
        lambda: (trial.answer.get("commandId"), trial.answer.get("outcome")) == (command_id, "renewed"),
    )
    trial.until("the command is acknowledged", lambda: trial.cloud.seen(trial.id)["cloudToDevice"]["acknowledged"] == 1)


def obeys_once(trial: Trial) -> None:
    """Obeys a command once, however often it comes, and over a restart."""
    old = trial.bring_up()
    command_id = trial.command(old)
    new = trial.renewed(old)
    trial.command(old, command_id=command_id)
    trial.command(new, command_id=command_id)
    trial.never("it renewed for a command that it had obeyed", lambda: len(trial.issued) > 2, _CALM_SECONDS)
    trial.device.end()
    trial.until_gone()
    trial.bring_up()
    trial.command(new, command_id=command_id)
    trial.never("it forgot over a restart what it had obeyed", lambda: len(trial.issued) > 2, _CALM_SECONDS)


def refuses_anothers_command(trial: Trial) -> None:
    """Refuses a command for another device, with the reason in `renewal`."""
    _refuses(trial, "AnotherDevice", device_id="somebody-else")


def refuses_a_late_command(trial: Trial) -> None:
    """Refuses a command for a certificate that it does not use, with the reason in `renewal`."""
    _refuses(trial, "AnotherCertificate", thumbprint="00" * 32)


def _refuses(trial: Trial, reason: str, **changes: str) -> None:
    certificate = trial.bring_up()
    command_id = trial.command(certificate, **changes)
    expected = {"commandId": command_id, "outcome": "refused", "reason": reason}
    trial.until(f"renewal is {expected}", lambda: trial.answer == expected)
    trial.never("it renewed all the same", lambda: len(trial.issued) > 1, _CALM_SECONDS)


def survives_any_message(trial: Trial) -> None:
    """Passes over messages that are no commands, and stays connected."""
    certificate = trial.bring_up()
    for number, body in enumerate((b"lights on", b"[]", b'{"schema":"fleetcert.renew/9"}', b"{" * 5000)):
        trial.cloud.send(trial.id, body, f"noise-{number}")
    trial.until("it takes all of them", lambda: trial.cloud.seen(trial.id)["cloudToDevice"]["acknowledged"] == 4)
    trial.never("it renewed or went away", lambda: trial.newest() != certificate, _CALM_SECONDS)
    trial.command(certificate)
    trial.renewed(certificate)


def keeps_the_old_until_proven(trial: Trial) -> None:
    """Goes on with the old certificate where the hub does not take the new one, and says that it failed."""
    old = trial.bring_up()
    untrusted = f"{trial.policy}-untrusted"
    trial.cloud.put_policy(untrusted, trial.life_seconds)  # not synchronized: the hub does not know its issuing CA
    trial.cloud.put_group(trial.group, trial.device.authority, untrusted)
    command_id = trial.command(old)
    trial.until("it tries", lambda: len(trial.issued) > 1)
    trial.until("the hub refuses the new certificate", lambda: trial.cloud.refusals(trial.id))
    trial.until("it is connected with the old one", lambda: trial.cloud.connected_with(trial.id) == old.thumbprint)
    trial.until(
        "renewal says that it failed",
        lambda: (trial.answer.get("commandId"), trial.answer.get("outcome")) == (command_id, "failed"),
    )
    trial.cloud.put_group(trial.group, trial.device.authority, trial.policy)
    trial.command(old)
    trial.renewed(old)


def renews_by_itself(trial: Trial) -> None:
    """Renews unasked, in the last two fifths of the life and before its end."""
    first = trial.bring_up()
    began = time.monotonic()
    new = trial.until("it renews", lambda: trial.issued[1:], seconds=trial.life_seconds)
    share = (time.monotonic() - began) / trial.life_seconds
    trial.notes.append(f"renewed after {share:.0%} of the life")
    trial.require(share > 0.55, f"it renewed after {share:.0%} of the life: too early")
    trial.require(not trial.cloud.refusals(trial.id), "it renewed when the hub had refused it: too late")
    trial.require(datetime.now(UTC) < parse_instant(first.not_after), "it renewed after the end: too late")
    trial.require(new[0].key != first.key, "the new certificate is of the old key")
    trial.renewed(first)


def returns_after_expiry(trial: Trial) -> None:
    """Comes back through DPS by itself when its certificate has ended while it was off."""
    old = trial.bring_up()
    trial.device.end()
    trial.until_gone()
    trial.sleep_past(old)
    trial.device.start()
    trial.renewed(old)


def returns_after_revocation(trial: Trial) -> None:
    """Comes back through DPS by itself when the hub does not take its certificate any more."""
    old = trial.bring_up()
    trial.device.end()
    trial.until_gone()
    trial.cloud.revoke(trial.id)
    trial.device.start()
    trial.renewed(old)


def is_patient_when_disabled(trial: Trial) -> None:
    """Tries rarely while its identity is disabled, and comes back when it is enabled."""
    trial.bring_up()
    trial.cloud.set_status(trial.id, "disabled")
    _is_patient(trial, _ATTEMPTS_AT_THE_HUB)
    _comes_back(trial)


def is_patient_when_blocked(trial: Trial) -> None:
    """The same where DPS refuses it, too."""
    trial.bring_up()
    trial.cloud.block(trial.id, trial.device.certificate)
    trial.cloud.set_status(trial.id, "disabled")
    _is_patient(trial, _ATTEMPTS_AT_BOTH)
    trial.cloud.unblock(trial.id)
    _comes_back(trial)


def _comes_back(trial: Trial) -> None:
    """With any certificate of its own: the hub may refuse the newest and take the one before in the next second."""
    trial.cloud.set_status(trial.id, "enabled")
    trial.until("it is back", lambda: trial.cloud.connected_with(trial.id))


def _is_patient(trial: Trial, at_most: int) -> None:
    trial.until("the hub refuses it", lambda: trial.cloud.refusals(trial.id))
    before = _attempts(trial)
    trial.never("it is connected", lambda: trial.cloud.connected_with(trial.id), _SHUT_OUT_SECONDS)
    made = _attempts(trial) - before
    trial.notes.append(f"{made} attempts in {_SHUT_OUT_SECONDS:.0f} s")
    trial.require(made > 0, "it gave up: nobody can let it in again")
    trial.require(made <= at_most, f"{made} attempts in {_SHUT_OUT_SECONDS:.0f} s: at most {at_most} are patient")


def _attempts(trial: Trial) -> int:
    return trial.cloud.refusals(trial.id) + trial.cloud.registrations.of(trial.id)


def survives_a_power_loss(trial: Trial) -> None:
    """Uses after a power loss what it holds: no new certificate, no new report."""
    certificate = trial.bring_up()
    trial.until("its report comes by the hub's routes", trial.reports)
    told = len(trial.patches)
    trial.device.kill()
    trial.until_gone()
    trial.require(trial.bring_up() == certificate, "it had a new certificate issued")
    trial.never("it reported what the twin holds", lambda: len(trial.patches) > told, _CALM_SECONDS)


def survives_a_power_loss_amid_a_renewal(trial: Trial) -> None:
    """Loses neither its place nor the command when power goes while it renews, whenever that is."""
    certificate = trial.bring_up()
    for delay in (0.0, 0.3, 0.8, 1.6):
        command_id = trial.command(certificate)
        time.sleep(delay)
        trial.device.kill()
        trial.until_gone()
        trial.device.start()
        trial.until("it is connected with its newest certificate and has reported it", trial.newest)
        # Where power went before the command was kept, it is the cloud's to send it again.
        trial.command(certificate, command_id=command_id)
        certificate = trial.renewed(certificate)


def renews_by_the_hub(trial: Trial) -> None:
    """Renews by a request to the hub where the command asks for it; by DPS where it cannot."""
    old = trial.bring_up()
    registrations = trial.cloud.registrations.of(trial.id)
    trial.command(old, via="iothub")
    new = trial.renewed(old)
    trial.require(new.key != old.key, "the new certificate is of the old key")
    by_dps = trial.cloud.registrations.of(trial.id) > registrations
    trial.notes.append("fell back to DPS" if by_dps else "by the hub")


SCENARIOS: Final[tuple[Scenario, ...]] = (
    onboards,
    reports_whole,
    obeys_a_command,
    obeys_once,
    refuses_anothers_command,
    refuses_a_late_command,
    survives_any_message,
    keeps_the_old_until_proven,
    renews_by_itself,
    returns_after_expiry,
    returns_after_revocation,
    is_patient_when_disabled,
    is_patient_when_blocked,
    survives_a_power_loss,
    survives_a_power_loss_amid_a_renewal,
    renews_by_the_hub,
)

SHORT_LIVED: Final = frozenset({renews_by_itself, returns_after_expiry})
"""Those whose certificates are to end within the scenario."""


def name_of(scenario: Scenario) -> str:
    """The scenario's name, as the contract has it: `obeys-once`."""
    return scenario.__name__.replace("_", "-")

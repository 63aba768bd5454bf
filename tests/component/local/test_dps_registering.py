from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, common_name, der, thumbprint
from fleetcert.local.adr.registry import DeviceRegistry
from fleetcert.local.assumptions import Assumptions
from fleetcert.local.dps.admission import Evidence
from fleetcert.local.dps.documents import EnrollmentGroupDocument, IndividualEnrollmentDocument
from fleetcert.local.dps.errors import Refusal
from fleetcert.local.dps.registering import Caller
from fleetcert.local.dps.service import ProvisioningService
from fleetcert.local.ports import Connect, Refused

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENT = LeafProfile(extended_key_usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
PREVIEW, OLDER = "2025-07-01-preview", "2019-03-31"
GROUP_KEY = bytes(range(32))


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


ROOT = CertificateAuthority.create_root("root", key(), not_before=NOW - DAY, not_after=NOW + 9 * DAY)
CA = ROOT.issue_authority("ca", key(), not_before=NOW - DAY, not_after=NOW + 8 * DAY)
STRANGER = CertificateAuthority.create_root("ca", key(), not_before=NOW - DAY, not_after=NOW + 9 * DAY)


class Clock:
    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> datetime:
        return self.instant


class Hub:
    def __init__(self, host_name="hub") -> None:
        self.host_name = host_name
        self.devices = {}
        self.twins = {}

    def provision(self, device_id, *, authentication, initial_twin) -> None:
        self.devices[device_id] = authentication
        self.twins.setdefault(device_id, initial_twin)

    def has_device(self, device_id) -> bool:
        return device_id in self.devices

    def trust(self, authorities) -> None:
        pass


class Sink:
    def __init__(self) -> None:
        self.events = []

    def publish(self, event_hub, event) -> None:
        self.events.append((event_hub, event))

    @property
    def records(self):
        return [json.loads(event.body)["records"][0] for _, event in self.events]


class Bench:
    """A provisioning service with one X.509 group, one symmetric-key group and a clock to turn."""

    def __init__(self, assumptions=None, **settings) -> None:
        self.clock, self.hub, self.sink = Clock(), Hub(), Sink()
        self.hubs = {"hub": self.hub}
        self.registry = DeviceRegistry("adr", self.clock)
        self.service = ProvisioningService(
            self.registry,
            self.hubs,
            self.sink,
            credentials=None,
            assumptions=assumptions or Assumptions(),
            id_scope="0ne1",
            resource_id="/subscriptions/s/providers/Microsoft.Devices/provisioningServices/dps",
            clock=self.clock,
            **settings,
        )
        self.core = self.service._registering
        self.service.authorities.put("ca", CA.certificate, is_verified=True)
        self.group("fleet", {"type": "x509", "x509": {"caReferences": {"primary": "ca"}}})
        text = base64.b64encode(GROUP_KEY).decode()
        keys = {"primaryKey": text, "secondaryKey": text}
        self.group("keys", {"type": "symmetricKey", "symmetricKey": keys})

    def group(self, name, attestation, **members) -> None:
        document = {"enrollmentGroupId": name, "attestation": attestation, "credentialPolicyName": "default", **members}
        self.service.groups.put(msgspec.convert(document, EnrollmentGroupDocument))

    def individual(self, attestation, **members) -> None:
        document = {"registrationId": "dev-1", "attestation": attestation, **members}
        self.service.individuals.put(msgspec.convert(document, IndividualEnrollmentDocument))

    def disable(self, name) -> None:
        document = self.service.groups.get(name).document
        self.service.groups.put(msgspec.structs.replace(document, provisioning_status="disabled"))

    def register(self, caller, **members):
        answer = self.core.register(caller, json.dumps(members).encode())
        self.clock.instant += timedelta(seconds=1)
        return self.core.poll(caller, answer.body["operationId"]).body


@pytest.fixture
def bench() -> Bench:
    return Bench()


def onboarding(name="dev-1", issuer=CA, not_before=NOW - DAY, not_after=NOW + DAY) -> tuple[x509.Certificate, ...]:
    leaf = issuer.issue_leaf(name, key().public_key(), CLIENT, not_before=not_before, not_after=not_after)
    return (leaf, *issuer.chain)


def by_certificate(chain=None, registration_id="dev-1", api_version=PREVIEW) -> Caller:
    return Caller(registration_id, Evidence(chain=onboarding() if chain is None else chain), api_version, "Http")


def token(signing_key, registration_id="dev-1", scope="0ne1", expires=NOW + DAY) -> str:
    resource = quote(f"{scope}/registrations/{registration_id}", safe="")
    expiry = int(expires.timestamp())
    signature = base64.b64encode(hmac.digest(signing_key, f"{resource}\n{expiry}".encode(), "sha256")).decode()
    return f"SharedAccessSignature sr={resource}&sig={quote(signature, safe='')}&se={expiry}&skn=registration"


def by_token(text, registration_id="dev-1") -> Caller:
    return Caller(registration_id, Evidence(token=text), PREVIEW, "Mqtt")


def derived(registration_id="dev-1") -> bytes:
    return hmac.digest(GROUP_KEY, registration_id.encode(), "sha256")


def csr(name="dev-1") -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(name))
    return base64.b64encode(builder.sign(key(), hashes.SHA256()).public_bytes(serialization.Encoding.DER)).decode()


def client_certificate(certificate):
    text = base64.b64encode(der(certificate)).decode()
    return {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": text}}}}


def refused(call, *arguments, **keywords) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        call(*arguments, **keywords)
    return refusal.value


# -- the way of a registration ---------------------------------------------------------------------------------------


def test_a_device_is_told_to_wait_and_then_where_to_go(bench):
    caller = by_certificate()

    started = bench.core.register(caller, b"{}")
    too_early = bench.core.poll(caller, started.body["operationId"])
    bench.clock.instant += timedelta(seconds=1)
    done = bench.core.poll(caller, started.body["operationId"])

    assert (started.status, started.body["status"], started.retry_after) == (202, "assigning", 1)
    assert (too_early.status, too_early.retry_after) == (202, 1)
    assert (done.status, done.retry_after) == (200, None)
    assert done.body["registrationState"]["assignedHub"] == "hub"
    assert done.body["registrationState"]["deviceId"] == "dev-1"


def test_a_csr_is_answered_with_leaf_issuer_and_root(bench):
    state = bench.register(by_certificate(), csr=csr())["registrationState"]

    leaf, issuer, root = [
        x509.load_der_x509_certificate(base64.b64decode(one)) for one in state["issuedCertificateChain"]
    ]
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    assert bench.hub.devices["dev-1"] == {"type": "certificateAuthority"}
    assert bench.registry.device_named("dev-1").policy == "default"


def test_without_a_csr_a_device_keeps_its_onboarding_certificate(bench):
    chain = onboarding()

    state = bench.register(by_certificate(chain, api_version=OLDER))["registrationState"]

    assert "issuedCertificateChain" not in state
    assert bench.hub.devices["dev-1"]["x509Thumbprint"]["primaryThumbprint"] == thumbprint(chain[0]).upper()


def test_without_a_csr_a_symmetric_device_keeps_its_derived_key(bench):
    bench.register(by_token(token(derived())))

    assert bench.hub.devices["dev-1"]["symmetricKey"]["primaryKey"] == base64.b64encode(derived()).decode()


def test_the_state_describes_the_onboarding_certificate_not_the_issued_one(bench):
    chain = onboarding()

    state = bench.register(by_certificate(chain), csr=csr())["registrationState"]

    assert state["x509"]["certificateInfo"]["sha256Thumbprint"] == thumbprint(chain[0]).upper()
    assert state["x509"]["enrollmentGroupId"] == "fleet"


def test_a_csr_for_somebody_else_fails_the_registration_and_issues_nothing(bench):
    body = bench.register(by_certificate(), csr=csr("dev-2"))

    assert body["status"] == "failed"
    assert body["registrationState"]["errorCode"] == 400037
    assert "common name" in body["registrationState"]["errorMessage"]
    assert bench.registry.device_named("dev-1").issued_serial_numbers == ()


def test_a_csr_needs_an_enrollment_with_a_credential_policy(bench):
    bench.individual(client_certificate((chain := onboarding())[0]))

    body = bench.register(by_certificate(chain), csr=csr())

    assert body["status"] == "failed"
    assert "credential policy" in body["registrationState"]["errorMessage"]


def test_a_device_disabled_in_the_registry_gets_no_certificate(bench):
    bench.register(by_certificate(), csr=csr())
    bench.registry.change_device("dev-1", enabled=False)

    assert bench.register(by_certificate(), csr=csr())["status"] == "failed"


def test_an_initial_twin_reaches_the_hub(bench):
    twin = {"tags": {"site": "a"}, "properties": {"desired": {"x": 1}}}
    bench.individual(client_certificate((chain := onboarding())[0]), initialTwin=twin)

    bench.register(by_certificate(chain))

    assert bench.hub.twins["dev-1"] == twin


def test_an_individual_enrollment_may_choose_the_device_id(bench):
    bench.individual(client_certificate((chain := onboarding())[0]), deviceId="pump-7")

    assert bench.register(by_certificate(chain))["registrationState"]["deviceId"] == "pump-7"


def test_a_device_stays_with_its_hub(bench):
    bench.register(by_certificate())
    bench.hubs.update({f"hub-{number}": Hub(f"hub-{number}") for number in range(9)})

    assert bench.register(by_certificate())["registrationState"]["assignedHub"] == "hub"


def test_devices_spread_over_the_hubs_by_a_stable_hash(bench):
    bench.hubs.update({f"hub-{number}": Hub(f"hub-{number}") for number in range(3)})

    def hub(name):
        state = bench.register(by_certificate(onboarding(name), name))["registrationState"]
        return state["assignedHub"]

    first = [hub(f"d{number}") for number in range(12)]
    for number in range(12):
        bench.service.registrations.delete(f"d{number}")

    assert len(set(first)) > 1
    assert [hub(f"d{number}") for number in range(12)] == first


def test_a_device_that_its_hub_lost_is_provisioned_again(bench):
    bench.register(by_certificate())
    bench.hub.devices.clear()

    state = bench.register(by_certificate())["registrationState"]

    assert state["substatus"] == "reprovisionedToInitialAssignment"
    assert bench.hub.has_device("dev-1")


def test_a_registration_id_in_another_case_is_the_same_registration(bench):
    bench.register(by_certificate())

    state = bench.register(by_certificate(registration_id="DEV-1"))["registrationState"]

    assert state["deviceId"] == "dev-1"
    assert list(bench.hub.devices) == ["dev-1"]


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "message"),
    [
        (by_certificate(()), "Unauthorized"),
        (by_certificate(onboarding(issuer=STRANGER)), "CA certificate not found"),
        (by_certificate(onboarding("dev-2")), "Invalid certificate"),
        (by_certificate(onboarding(not_after=NOW - timedelta(seconds=1))), "Invalid certificate"),
        (by_certificate(onboarding(not_before=NOW + timedelta(seconds=1))), "Invalid certificate"),
        (by_token(token(b"wrong")), "Unauthorized"),
        (by_token(token(derived("dev-2"))), "Unauthorized"),
        (by_token(token(derived(), registration_id="dev-2")), "Unauthorized"),
        (by_token(token(derived(), scope="0ne2")), "Unauthorized"),
        (by_token(token(derived(), expires=NOW)), "Unauthorized"),
        (by_token("nonsense"), "Unauthorized"),
        (by_token("SharedAccessSignature sr=0ne1%2Fregistrations%2Fdev-1&sig=***&se=x"), "Unauthorized"),
        (by_token("SharedAccessSignature %73r=0ne1%2Fregistrations%2Fdev-1&sig=AA==&se=9"), "Unauthorized"),
    ],
    ids=[
        "nothing", "unknown CA", "wrong CN", "expired", "not yet valid", "wrong key", "another device's key",
        "token for another device", "token for another scope", "expired token", "no token", "garbled token",
        "resource in disguise",
    ],
)  # fmt: skip
def test_a_device_that_proves_nothing_is_a_401002_and_leaves_no_trace_but_the_log(bench, caller, message):
    refusal = refused(bench.core.register, caller, b"{}")

    body = refusal.body(NOW)
    assert (refusal.status, body["errorCode"], body["message"]) == (401, 401002, message)
    assert body["timestampUtc"] == "2026-11-23T10:00:00.0000000Z"
    assert body["trackingId"]
    assert not bench.hub.devices
    assert not bench.registry.devices
    assert [record["resultType"] for record in bench.sink.records] == ["Failure"]
    assert bench.sink.records[0]["resultSignature"] == "401"


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b'{"csr":"\xff"}', b'{"csr":"\xc3\xbc"}'])
def test_a_body_that_is_no_registration_is_a_400(bench, body):
    assert refused(bench.core.register, by_certificate(), body).status is HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("caller", "members"),
    [
        (by_certificate(api_version=OLDER), {"csr": csr()}),
        (by_certificate(), {"csr": "no base64!"}),
        (by_certificate(), {"csr": "A" * 13000}),
        (by_certificate(), {"csr": 1}),
        (by_certificate(), {"registrationId": "dev-2"}),
        (by_certificate(), {"tpm": {"endorsementKey": "k"}}),
        (by_certificate(api_version="1999-01-01"), {}),
        (by_certificate(registration_id="a b"), {}),
    ],
    ids=["csr of an older version", "not base64", "too large", "no text", "another id", "tpm", "version", "bad id"],
)
def test_a_request_that_cannot_be_understood_is_a_400(bench, caller, members):
    refusal = refused(bench.core.register, caller, json.dumps(members).encode())

    assert refusal.status is HTTPStatus.BAD_REQUEST
    assert not bench.hub.devices


def test_another_device_cannot_poll_the_operation(bench):
    started = bench.core.register(by_certificate(), b"{}")
    other = by_certificate(onboarding("dev-2"), "dev-2")

    assert refused(bench.core.poll, other, started.body["operationId"]).status is HTTPStatus.NOT_FOUND


def test_an_operation_of_before_is_forgotten(bench):
    before = bench.core.register(by_certificate(), b"{}")
    bench.core.register(by_certificate(), b"{}")

    assert refused(bench.core.poll, by_certificate(), before.body["operationId"]).status is HTTPStatus.NOT_FOUND


def test_polling_needs_proof_too(bench):
    started = bench.core.register(by_certificate(), b"{}")

    assert refused(bench.core.poll, by_certificate(()), started.body["operationId"]).code == 401002


def test_an_unverified_ca_attests_nobody(bench):
    bench.service.authorities.put("ca", CA.certificate, if_match="*")

    assert refused(bench.core.register, by_certificate(), b"{}").message == "CA certificate not found"


def test_a_look_up_tells_the_state_without_certificates_and_takes_no_csr(bench):
    assert refused(bench.core.look_up, by_certificate(), b"{}").status is HTTPStatus.NOT_FOUND
    bench.register(by_certificate(), csr=csr())

    state = bench.core.look_up(by_certificate(), b"{}").body

    assert state["status"] == "assigned"
    assert "issuedCertificateChain" not in state
    assert refused(bench.core.look_up, by_certificate(), json.dumps({"csr": csr()}).encode()).code == 400004


def test_the_throttle_says_when_to_come_back():
    bench = Bench(registrations_per_minute=1)
    bench.core.register(by_certificate(), b"{}")
    bench.clock.instant += timedelta(seconds=20)

    refusal = refused(bench.core.register, by_certificate(), b"{}")
    assert (refusal.status, refusal.retry_after) == (429, 40)

    bench.clock.instant += timedelta(seconds=40)
    assert bench.core.register(by_certificate(), b"{}").status is HTTPStatus.ACCEPTED


# -- which enrollment counts -----------------------------------------------------------------------------------------


def test_a_disabled_individual_enrollment_beats_its_group(bench):
    chain = onboarding()
    bench.individual(client_certificate(chain[0]), provisioningStatus="disabled")

    body = bench.register(by_certificate(chain), csr=csr())

    assert body["status"] == "disabled"
    assert body["registrationState"]["status"] == "disabled"
    assert not bench.hub.devices
    assert bench.sink.records[-1]["resultType"] == "Failure"


@pytest.mark.parametrize(("block_matches", "status"), [("registration-id", "disabled"), ("credential", "assigned")])
def test_whether_a_block_without_the_devices_credential_holds_is_an_assumption(block_matches, status):
    bench = Bench(Assumptions(block_matches=block_matches))
    bench.individual({"type": "symmetricKey"}, provisioningStatus="disabled")

    assert bench.register(by_certificate())["status"] == status


@pytest.mark.parametrize("block_matches", ["registration-id", "credential"])
def test_a_block_with_the_devices_credential_holds_under_both_assumptions(block_matches):
    bench = Bench(Assumptions(block_matches=block_matches))
    keys = base64.b64encode(derived()).decode()
    bench.individual(
        {"type": "symmetricKey", "symmetricKey": {"primaryKey": keys, "secondaryKey": keys}},
        provisioningStatus="disabled",
    )

    assert bench.register(by_token(token(derived())))["status"] == "disabled"


def test_a_stranger_does_not_learn_that_an_id_is_blocked(bench):
    bench.individual({"type": "symmetricKey"}, provisioningStatus="disabled")

    assert refused(bench.core.register, by_certificate(onboarding(issuer=STRANGER)), b"{}").code == 401002


def test_an_enabled_individual_enrollment_does_not_fall_back_to_the_group(bench):
    bench.individual(client_certificate(onboarding()[0]))

    assert refused(bench.core.register, by_certificate(), b"{}").code == 401002


def test_a_disabled_group_lets_nobody_in(bench):
    bench.disable("fleet")

    assert bench.register(by_certificate())["status"] == "disabled"
    assert not bench.hub.devices


def test_of_two_groups_the_one_nearest_to_the_leaf_counts(bench):
    bench.service.authorities.put("root", ROOT.certificate, is_verified=True)
    bench.group("wide", {"type": "x509", "x509": {"caReferences": {"primary": "root"}}})
    bench.disable("fleet")

    assert bench.register(by_certificate())["status"] == "disabled"


def test_an_individual_certificate_needs_no_chain(bench):
    leaf = onboarding(issuer=STRANGER)[0]
    bench.individual(client_certificate(leaf))

    assert bench.register(by_certificate((leaf,)))["status"] == "assigned"


# -- the resource log ------------------------------------------------------------------------------------------------


def test_each_attempt_is_one_record_with_the_documented_members(bench):
    bench.register(by_certificate())

    (event_hub, event), *more = bench.sink.events
    (record,) = json.loads(event.body)["records"]
    assert (event_hub, event.partition_key, more) == ("dps-events", "dev-1", [])
    assert record["category"] == "DeviceOperations"
    assert record["operationName"] == "AttestationAttempt"
    assert record["resultType"] == "Success"
    assert record["resourceId"].endswith("/PROVIDERS/MICROSOFT.DEVICES/PROVISIONINGSERVICES/DPS")
    assert json.loads(record["properties"]) == {"id": "dev-1", "type": "Registration", "protocol": "Http"}


def test_the_records_may_arrive_one_by_one():
    bench = Bench(Assumptions(dps_log_shape="single"))

    bench.register(by_certificate())

    assert json.loads(bench.sink.events[0][1].body)["operationName"] == "AttestationAttempt"


# -- MQTT ------------------------------------------------------------------------------------------------------------


class Connection:
    def __init__(self) -> None:
        self.published = []
        self.closed = False

    def publish(self, topic, payload, qos=0):
        self.published.append((topic, json.loads(payload), qos))

    def close(self) -> None:
        self.closed = True


def connect(**changes) -> Connect:
    user_name = f"0ne1/registrations/dev-1/api-version={PREVIEW}&ClientVersion=test"
    return replace(Connect("dev-1", user_name, b"", True, 60, onboarding()), **changes)


@pytest.fixture
def session(bench):
    connection = Connection()
    session = bench.service.mqtt_endpoint().accept(connect(), connection)
    session.on_subscribe("$dps/registrations/res/#", 1)
    return session, connection


REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=7"
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=8&operationId="


def test_over_mqtt_a_device_registers_and_polls(bench, session):
    device, connection = session

    device.on_publish(REGISTER, json.dumps({"registrationId": "dev-1", "csr": csr()}).encode(), 1)
    bench.clock.instant += timedelta(seconds=1)
    device.on_publish(POLL + connection.published[0][1]["operationId"], b" ", 1)

    (waiting, _, _), (done, body, qos) = connection.published
    assert waiting == "$dps/registrations/res/202/?$rid=7&retry-after=1"
    assert (done, qos) == ("$dps/registrations/res/200/?$rid=8", 1)
    assert len(body["registrationState"]["issuedCertificateChain"]) == 3
    assert json.loads(bench.sink.records[0]["properties"])["protocol"] == "Mqtt"


def test_over_mqtt_an_unknown_ca_is_answered_with_the_body_of_a_401(bench):
    connection = Connection()
    session = bench.service.mqtt_endpoint().accept(connect(peer_chain=onboarding(issuer=STRANGER)), connection)
    session.on_subscribe("$dps/registrations/res/#", 0)

    session.on_publish(REGISTER, b"{}", 0)

    topic, body, _ = connection.published[0]
    assert topic == "$dps/registrations/res/401/?$rid=7"
    assert body["errorCode"] == 401002


@pytest.mark.parametrize("topic", [REGISTER.partition("?")[0], REGISTER.replace("$rid", "rid")])
def test_a_request_without_an_id_is_not_answered(session, topic):
    device, connection = session

    device.on_publish(topic, b"{}", 1)

    assert not connection.published


def test_nothing_is_sent_to_who_has_not_subscribed(session):
    device, connection = session
    device.on_unsubscribe("$dps/registrations/res/#")

    device.on_publish(REGISTER, b"{}", 1)

    assert not connection.published


def test_only_the_response_topic_may_be_subscribed_to(session):
    assert session[0].on_subscribe("#", 1) == 0x80


def test_a_foreign_topic_ends_the_connection(session):
    device, connection = session

    device.on_publish("devices/dev-1/messages/events/", b"", 0)

    assert connection.closed


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "dev-2"}, 5),
        ({"peer_chain": ()}, 5),
        ({"peer_chain": (), "password": token(b"wrong").encode()}, 5),
        ({"user_name": "0ne2/registrations/dev-1/api-version=2019-03-31"}, 5),
        ({"user_name": "0ne1/registrations/dev-1/api-version=1999-01-01"}, 4),
        ({"user_name": "0ne1/registrations/dev-1/"}, 4),
        ({"user_name": "0ne1/registrations/a%20b/api-version=2019-03-31", "client_id": "a b"}, 4),
    ],
    ids=["client id", "no proof", "wrong key", "id scope", "api-version", "no api-version", "impossible id"],
)
def test_a_connect_that_cannot_become_a_registration_is_refused(bench, changes, code):
    with pytest.raises(Refused) as refusal:
        bench.service.mqtt_endpoint().accept(connect(**changes), Connection())

    assert refusal.value.code == code


def test_a_token_is_checked_at_connect(bench):
    password = token(derived()).encode()

    assert bench.service.mqtt_endpoint().accept(connect(peer_chain=(), password=password), Connection())


@pytest.mark.parametrize(
    ("user_name", "claimed"),
    [("0ne1/registrations/dev-1/api-version=x", True), ("localhost/dev-1/?api-version=x", False), ("", False)],
)
def test_only_user_names_of_dps_are_claimed(bench, user_name, claimed):
    assert bench.service.mqtt_endpoint().claims(connect(user_name=user_name)) is claimed

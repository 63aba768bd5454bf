"""The app's settings: read from the environment once, typed and checked, each with an error that names it and the fix.

Durations are ISO 8601 (`P7D`, `PT1H`), shares are fractions (`1/3`, `0.5`). Values never appear in errors: a setting in
the wrong place may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field

from shared.errors import SettingsError

_TWO_FORMS: Final = (
    "give a connection string, or in its place FleetStorage__tableServiceUri, FleetStorage__queueServiceUri and "
    "FleetStorage__blobServiceUri"
)


def _as(expected: str, **constraints: Any) -> Meta:
    """What the error of a wrong or missing setting asks for."""
    return Meta(description=expected, **constraints)


EventHub = Annotated[str, _as("the name of an event hub")]
Queue = Annotated[str, _as("a queue name: 3 to 63 of a-z, 0-9 and -", pattern="^[a-z0-9][a-z0-9-]{2,62}$")]
Container = Annotated[str, _as("a container name: 3 to 63 of a-z, 0-9 and -", pattern="^[a-z0-9][a-z0-9-]{2,62}$")]
TableName = Annotated[str, _as("a table name: 3 to 63 letters and digits", pattern="^[A-Za-z][A-Za-z0-9]{2,62}$")]
DayList = Annotated[str, _as("days before an end, e.g. 30,7,1", pattern=r"^[1-9][0-9]{0,3}(,[1-9][0-9]{0,3})*$")]
HostName = Annotated[str, _as("a host name without https://, e.g. contoso.azure-devices.net", pattern="^[^/]+$")]
ResourceId = Annotated[str, _as("a resource id, /subscriptions/...", pattern="^/subscriptions/.")]
Endpoint = Annotated[str, _as("an address, https://...: tokens travel to it", pattern="^https://[^/]+")]
Duration = Annotated[timedelta, _as("a duration above zero in ISO 8601, e.g. P7D or PT1H")]
Share = Annotated[Fraction, _as("a fraction above 0 and at most 1, e.g. 1/3")]
Count = Annotated[int, _as("a whole number above zero", ge=1)]
Shards = Annotated[int, _as("a whole number from 1 to 100", ge=1, le=100)]
Windows = Annotated[str, _as("windows as `cron for duration`, parted by `;`, e.g. 0 2 * * 6 for PT4H")]
TimeZone = Annotated[str, _as("a time zone of the IANA database, e.g. Europe/Zurich")]
Flag = Annotated[bool, _as("True or False")]
Switch = Annotated[Literal["on", "off"], _as("on or off")]
AdrGeneration = Annotated[Literal["none", "2", "3"], _as("none, 2 or 3")]
Scope = Annotated[Literal["off", "contained", "all"], _as("off, contained or all")]
HttpEndpoint = Annotated[str, _as("an address, http://... or https://...", pattern="^https?://[^/]+")]
LogFormat = Annotated[Literal["text", "json"], _as("text or json")]


class Settings(Struct, frozen=True, kw_only=True, rename=str.upper):
    """Everything that the app is told; without another name, a field is the setting of its name in capitals.

    The connections of the triggers and the host's storage are the platform's: here they say where it can be seen how
    far events are read. iothub_resource_id: the source of all alerts. shards: fixed once the table is made.
    policy_validity: the issuing policy's leaf validity, which bounds a claim without proof. containment_look_interval:
    parts the two looks that prove a connection gone. audit: the container of the audit's chain, and
    audit_endpoint the account that holds it where that is not the fleet's own; inventory: the container of what was
    issued for onboarding; exports: that of exported lists, which go after export_retention.
    history_retention: how long history is kept. c2d_per_minute: the hub's throttle for
    sends. digest_above: more alerts of a kind at once become one digest. arm_endpoint: of Azure Resource Manager.
    dps_resource_id: whose CA certificates are watched beside the hub's. issuer_levels, onboarding_levels: days before
    an end at which people are told. trusted_issuers: PEM of issuing CAs beside the hub's own, `\\n` for line breaks.
    tenant_id: principals of other tenants are refused. platform_authenticates: App Service Authentication is on.
    feedback: whether the hub's feedback queue is drained. connection_state: whose connections are followed: those of
    devices that are shut out, everybody's, or nobody's. connection_look_interval: how often it is looked up who is
    shut out, on average. reconcile_every: from one walk through the fleet to the next; reconcile_step: the longest
    time that one tick of it takes; reconcile_queries_per_minute: the hub's throttle for queries, of which
    reconcile_share is used.
    operations: the queue of long work; operation_step: how long one step of it may take. containment_purge: whether the
    messages that wait for a device are removed when it is shut out, those of other back ends too. adr_generation: which
    generation of Azure Device Registry the namespace adr_namespace_id is of. registry_per_minute: the hub's throttle
    for its identity registry, of which bulk requests use registry_share.
    """

    iot_events: EventHub
    dps_events: EventHub
    iot_events_text: str | None = field(name="IotEvents", default=None)
    iot_events_namespace: HostName | None = field(name="IotEvents__fullyQualifiedNamespace", default=None)
    dps_events_text: str | None = field(name="DpsEvents", default=None)
    dps_events_namespace: HostName | None = field(name="DpsEvents__fullyQualifiedNamespace", default=None)
    connection_events_text: str | None = field(name="ConnectionEvents", default=None)
    connection_events_namespace: HostName | None = field(name="ConnectionEvents__fullyQualifiedNamespace", default=None)
    events_consumer_group: str = "$Default"
    host_storage: str | None = field(name="AzureWebJobsStorage", default=None)
    host_blob_endpoint: Endpoint | None = field(name="AzureWebJobsStorage__blobServiceUri", default=None)
    host_storage_account: str | None = field(name="AzureWebJobsStorage__accountName", default=None)
    renewal_commands: Queue
    containment: Queue
    iothub_hostname: HostName
    iothub_resource_id: ResourceId
    dps_service_hostname: HostName
    eventgrid_topic_endpoint: Endpoint
    storage: str | None = field(name="FleetStorage", default=None)
    table_endpoint: Endpoint | None = field(name="FleetStorage__tableServiceUri", default=None)
    queue_endpoint: Endpoint | None = field(name="FleetStorage__queueServiceUri", default=None)
    blob_endpoint: Endpoint | None = field(name="FleetStorage__blobServiceUri", default=None)
    audit_endpoint: Endpoint | None = field(name="AuditStorage__blobServiceUri", default=None)
    operations: Queue = "operations"
    operation_step: Duration = timedelta(seconds=30)
    containment_purge: Flag = False
    adr_generation: AdrGeneration = "none"
    adr_namespace_id: ResourceId | None = None
    registry_per_minute: Count = 100
    registry_share: Share = Fraction(1, 2)
    fleet_table: TableName = "fleet"
    dead_letters: Container = "dead-letters"
    audit: Container = "audit"
    exports: Container = "exports"
    export_retention: Duration = timedelta(days=7)
    inventory: Container = "inventory"
    history_retention: Duration = timedelta(days=400)
    shards: Shards = 16
    renewal_window: Duration = timedelta(days=7)
    renewal_share: Share = Fraction(1, 3)
    command_ttl: Duration = timedelta(hours=1)
    clock_skew: Duration = timedelta(minutes=5)
    policy_validity: Duration = timedelta(days=30)
    confirmation_grace: Duration = timedelta(hours=1)
    require_pem: Flag = False
    maintenance_windows: Windows | None = None
    maintenance_time_zone: TimeZone = "UTC"
    containment_look_interval: Duration = timedelta(minutes=5)
    c2d_per_minute: Count = 100
    c2d_share: Share = Fraction(1, 2)
    feedback: Switch = "on"
    connection_events: EventHub = "connection-events"
    connection_state: Scope = "contained"
    connection_look_interval: Duration = timedelta(seconds=30)
    digest_above: Count = 20
    snapshot_interval: Duration = timedelta(hours=1)
    arm_endpoint: Endpoint = "https://management.azure.com"
    dps_resource_id: ResourceId | None = None
    issuer_levels: DayList = "365,180,30,7"
    onboarding_levels: DayList = "30,7,1"
    trusted_issuers: str = ""
    reconcile_every: Duration = timedelta(days=1)
    reconcile_step: Duration = timedelta(minutes=4)
    reconcile_queries_per_minute: Count = 20
    reconcile_share: Share = Fraction(1, 2)
    tenant_id: str | None = field(name="FLEETCERT_TENANT_ID", default=None)
    client_id: str | None = field(name="AZURE_CLIENT_ID", default=None)
    identity_endpoint: str | None = None
    platform_authenticates: Flag = field(name="WEBSITE_AUTH_ENABLED", default=False)

    @property
    def host_blobs(self) -> str | None:
        """The blob endpoint of the host's storage, where that is reached by identity."""
        account = self.host_storage_account
        return self.host_blob_endpoint or (f"https://{account}.blob.core.windows.net" if account else None)

    def storage_host(self, service: Literal["table", "queue", "blob"]) -> str:
        """The host of the fleet's storage, whichever form names it."""
        endpoints = {"table": self.table_endpoint, "queue": self.queue_endpoint, "blob": self.blob_endpoint}
        members = dict(part.partition("=")[::2] for part in (self.storage or "").split(";"))
        account = f"https://{members.get('AccountName', '')}.{service}.core.windows.net"
        return urlsplit(endpoints[service] or members.get(f"{service.title()}Endpoint") or account).netloc

    @property
    def has_managed_identity(self) -> bool:
        """Whether the platform offers an identity endpoint."""
        return self.identity_endpoint is not None


class TelemetrySettings(Struct, frozen=True, kw_only=True, rename=str.upper):
    """Where telemetry goes: nowhere, where none of the destinations is given. They stop nobody's work when wrong.

    connection, authentication: of Application Insights; the second says `Authorization=AAD` where it is reached by
    identity. otlp_endpoint: of a collector (OTLP over HTTP), whose other settings are OpenTelemetry's own. console: to
    standard output. disabled, name: OpenTelemetry's own. log_format: of the log's lines. The others are the platform's
    and say who reports.
    """

    connection: str | None = field(name="APPLICATIONINSIGHTS_CONNECTION_STRING", default=None)
    authentication: str = field(name="APPLICATIONINSIGHTS_AUTHENTICATION_STRING", default="")
    otlp_endpoint: HttpEndpoint | None = field(name="OTEL_EXPORTER_OTLP_ENDPOINT", default=None)
    console: Switch = field(name="TELEMETRY_CONSOLE", default="off")
    disabled: Flag = field(name="OTEL_SDK_DISABLED", default=False)
    log_format: LogFormat = "text"
    client_id: str | None = field(name="AZURE_CLIENT_ID", default=None)
    identity_endpoint: str | None = None
    name: str | None = field(name="OTEL_SERVICE_NAME", default=None)
    site: str = field(name="WEBSITE_SITE_NAME", default="fleetcert")
    instance: str | None = field(name="WEBSITE_INSTANCE_ID", default=None)
    region: str | None = field(name="REGION_NAME", default=None)

    @property
    def goes_somewhere(self) -> bool:
        """Whether there is a destination."""
        return not self.disabled and bool(self.connection or self.otlp_endpoint or self.console == "on")

    @property
    def by_identity(self) -> bool:
        """Whether Application Insights wants a token."""
        return "authorization=aad" in self.authentication.lower()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in an environment. An empty value counts as not given.

    Raises: SettingsError for the first that is wrong; the others are its notes.
    """
    settings = _read(Settings, environment)
    if problems := list(_contradictions(settings)):
        raise _with_notes(problems)
    return settings


def read_telemetry_settings(environment: Mapping[str, str]) -> TelemetrySettings:
    """Where telemetry goes. Raises: SettingsError, as `read_settings`."""
    return _read(TelemetrySettings, environment)


def _read[T: Struct](kind: type[T], environment: Mapping[str, str]) -> T:
    values: dict[str, Any] = {}
    problems: list[SettingsError] = []
    hints = get_type_hints(kind, include_extras=True)
    for info in msgspec.structs.fields(kind):
        text = environment.get(info.encode_name, "").strip()
        if not text and not info.required:
            continue
        try:
            values[info.name] = _converted(info.encode_name, text, hints[info.name])
        except SettingsError as problem:
            problems.append(problem)
    if problems:
        raise _with_notes(problems)
    return kind(**values)


def _converted(name: str, text: str, hint: Any) -> Any:
    expected = f"set it to {_expected(hint)}"
    if not text:
        raise SettingsError(name, f"is missing: {expected}")
    try:
        # lax, because numbers and flags come as text; but a bare 7 as a duration would be seconds, which nobody means
        value = msgspec.convert(text, hint, strict=hint == Duration, dec_hook=_hook)
    except (msgspec.ValidationError, ValueError, ZeroDivisionError):
        raise SettingsError(name, f"cannot be read: {expected}") from None
    if not _is_sound(value):
        raise SettingsError(name, f"is out of bounds: {expected}")
    return value


def _is_sound(value: Any) -> bool:
    match value:
        case timedelta():
            return value > timedelta()
        case Fraction():
            return 0 < value <= 1
        case _:
            return True


def _contradictions(settings: Settings) -> Iterator[SettingsError]:
    endpoints = (settings.table_endpoint, settings.queue_endpoint, settings.blob_endpoint)
    if not settings.storage and not all(endpoints):
        yield SettingsError("FleetStorage", f"is missing or incomplete: {_TWO_FORMS}")
    if settings.adr_generation != "none" and settings.adr_namespace_id is None:
        fix = "set it to the namespace's resource id, or ADR_GENERATION to none"
        yield SettingsError("ADR_NAMESPACE_ID", f"is missing: {fix}")
    if settings.renewal_share == 1:
        yield SettingsError("RENEWAL_SHARE", "a window of the whole life is due for ever: set it below 1, e.g. to 1/3")


def _expected(hint: Any) -> str:
    metas = [meta for part in (hint, *get_args(hint)) for meta in getattr(part, "__metadata__", ())]
    return next((str(meta.description) for meta in metas if meta.description), "a text")


def _hook(kind: type, value: Any) -> Any:
    return Fraction(value) if kind is Fraction else value


def _with_notes(problems: list[SettingsError]) -> SettingsError:
    first, *others = problems
    for other in others:
        first.add_note(str(other))
    return first

"""The ARM operations of the namespace, as `azure-mgmt-deviceregistry` calls them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from fleetcert.local.adr.policies import Policy, PolicyInvalid, leaf_validity
from fleetcert.local.adr.registry import DeviceRegistry
from fleetcert.local.adr.resources import (
    PROVIDER,
    CertificateConfiguration,
    DeviceDocument,
    DeviceProperties,
    PolicyDocument,
    Resources,
    RevokeDocument,
)
from fleetcert.local.arm_protocol import LongRunning, Provider, Scope, bad_request, not_found, read_document
from shared.errors import NotFound

API_VERSIONS: Final = ("2026-03-01-preview",)


class DeviceRegistryManagement:
    """Namespace, credential, policies and devices."""

    def __init__(self, registry: DeviceRegistry, scope: Scope, long_running: LongRunning) -> None:
        self._registry = registry
        self._resources = Resources(registry, scope)
        self._long_running = long_running

    def provider(self) -> Provider:
        """The routes below the namespace."""
        return Provider(f"{PROVIDER}/{self._registry.namespace}", API_VERSIONS, self._routes())

    def _routes(self) -> Iterable[tuple[str, str, Handler]]:
        credential = "/credentials/default"
        policy = f"{credential}/policies/{{name}}"
        routes: tuple[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]], ...] = (
            ("GET", "", self._get_namespace),
            ("GET", "/credentials", self._list_credentials),
            ("GET", credential, self._get_credential),
            ("PUT", credential, self._get_credential),  # a namespace has one credential from the start
            ("POST", f"{credential}/synchronize", self._synchronize),
            ("GET", f"{credential}/policies", self._list_policies),
            ("GET", policy, self._get_policy),
            ("PUT", policy, self._put_policy),
            ("PATCH", policy, self._patch_policy),
            ("DELETE", policy, self._delete_policy),
            ("POST", f"{policy}/revokeIssuer", self._revoke_issuer),
            ("GET", "/devices", self._list_devices),
            ("GET", "/devices/{name}", self._get_device),
            ("PATCH", "/devices/{name}", self._patch_device),
            ("POST", "/devices/{name}/revoke", self._revoke_device),
        )
        return [(method, path, _known(handler)) for method, path, handler in routes]

    async def _get_namespace(self, _: web.Request) -> web.Response:
        return web.json_response(self._resources.namespace())

    async def _list_credentials(self, _: web.Request) -> web.Response:
        return web.json_response({"value": [self._resources.credential()]})

    async def _get_credential(self, _: web.Request) -> web.Response:
        return web.json_response(self._resources.credential())

    async def _synchronize(self, request: web.Request) -> web.Response:
        self._registry.synchronize()
        return self._long_running.accepted(request)

    async def _list_policies(self, _: web.Request) -> web.Response:
        return web.json_response({"value": [self._resources.policy(one) for one in self._registry.policies.values()]})

    async def _get_policy(self, request: web.Request) -> web.Response:
        return web.json_response(self._resources.policy(self._registry.policy(request.match_info["name"])))

    async def _put_policy(self, request: web.Request) -> web.Response:
        document = await read_document(request, PolicyDocument)
        name = request.match_info["name"]
        status = 200 if name in self._registry.policies else 201
        policy = self._write_policy(name, document.properties.certificate)
        return web.json_response(self._resources.policy(policy), status=status)

    async def _patch_policy(self, request: web.Request) -> web.Response:
        document = await read_document(request, PolicyDocument)
        name = self._registry.policy(request.match_info["name"]).name
        return web.json_response(self._resources.policy(self._write_policy(name, document.properties.certificate)))

    def _write_policy(self, name: str, configuration: CertificateConfiguration) -> Policy:
        authority = configuration.certificate_authority_configuration
        if authority is not None and authority.key_type != "ECC":
            raise bad_request("The keyType of an issuing CA is ECC.")
        if authority is not None and authority.bring_your_own_root and authority.bring_your_own_root.enabled:
            raise bad_request("Bring your own root is not available here.")
        leaf = configuration.leaf_certificate_configuration
        try:
            validity = leaf_validity(leaf.validity_period_in_days, leaf.validity_period_in_seconds)
            return self._registry.put_policy(name, validity)
        except PolicyInvalid as problem:
            raise bad_request(str(problem)) from problem

    async def _delete_policy(self, request: web.Request) -> web.Response:
        self._registry.delete_policy(request.match_info["name"])
        return self._long_running.accepted(request)

    async def _revoke_issuer(self, request: web.Request) -> web.Response:
        self._registry.revoke_issuer(request.match_info["name"])
        return self._long_running.accepted(request)

    async def _list_devices(self, _: web.Request) -> web.Response:
        return web.json_response({"value": [self._resources.device(one) for one in self._registry.devices]})

    async def _get_device(self, request: web.Request) -> web.Response:
        return web.json_response(self._resources.device(self._registry.device_named(request.match_info["name"])))

    async def _patch_device(self, request: web.Request) -> web.Response:
        document = await read_document(request, DeviceDocument)
        changes = document.properties or DeviceProperties()
        device = self._registry.change_device(
            request.match_info["name"],
            enabled=changes.enabled,
            attributes=changes.attributes,
            operating_system_version=changes.operating_system_version,
            policy=_last_segment(changes.policy.resource_id) if changes.policy else None,
            tags=document.tags,
        )
        return web.json_response(self._resources.device(device))

    async def _revoke_device(self, request: web.Request) -> web.Response:
        document = await read_document(request, RevokeDocument)
        self._registry.revoke_device(request.match_info["name"], disable=document.disable)
        return self._long_running.accepted(request)


def _known(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
    async def known(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotFound as problem:
            raise not_found(problem.identifier) from problem

    return known


def _last_segment(resource_id: str | None) -> str | None:
    return resource_id.rstrip("/").rpartition("/")[2] if resource_id else None

"""Which storage account each adapter is given, in the form that has identities."""

from __future__ import annotations

from shared.composition.sdks import build_adapters
from shared.settings import read_settings
from tests.unit.test_settings import BY_IDENTITY

AUDIT = {"AuditStorage__blobServiceUri": "https://audit.blob.core.windows.net/"}


async def test_the_audit_has_an_account_of_its_own_where_one_is_given():
    adapters = build_adapters(read_settings(BY_IDENTITY | AUDIT))
    try:
        assert adapters.audit._container.url == "https://audit.blob.core.windows.net/audit"
        assert adapters.dead_letters._container.url == "https://a.blob.core.windows.net/dead-letters"
    finally:
        await adapters.connections.aclose()


async def test_without_one_the_audit_is_with_the_fleet():
    adapters = build_adapters(read_settings(BY_IDENTITY))
    try:
        assert adapters.audit._container.url == "https://a.blob.core.windows.net/audit"
    finally:
        await adapters.connections.aclose()

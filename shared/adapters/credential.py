"""The one credential of the app, in the two forms that Azure's SDKs ask for.

Where the platform offers an identity endpoint, the managed identity is named outright: a chain of credentials would
fall through to a developer's login, or hide why the identity failed. Elsewhere azure-identity's default chain decides.
"""

from __future__ import annotations

from azure.core.credentials import TokenCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential


def async_credential(*, managed: bool, client_id: str | None) -> AsyncTokenCredential:
    """For the async SDKs. managed: the platform offers an identity endpoint. client_id: a user-assigned identity."""
    if managed:
        return AsyncManagedIdentityCredential(client_id=client_id)
    return AsyncDefaultAzureCredential(managed_identity_client_id=client_id)


def blocking_credential(*, managed: bool, client_id: str | None) -> TokenCredential:
    """The same for azure-iot-hub and uamqp, which block: to be used off the event loop only."""
    if managed:
        return ManagedIdentityCredential(client_id=client_id)
    return DefaultAzureCredential(managed_identity_client_id=client_id)

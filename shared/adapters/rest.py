"""REST services by identity, over azure-core: its login and its connections, and raw documents in and out."""

from __future__ import annotations

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, AsyncRetryPolicy, UserAgentPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.adapters.request_spans import RequestSpans

type RestClient = AsyncPipelineClient[HttpRequest, AsyncHttpResponse]


def rest_client(endpoint: str, credential: AsyncTokenCredential, scope: str, *, trust: str | None = None) -> RestClient:
    """A client of `https://host[:port]`. A server's error is tried twice more; a throttle is for the caller to heed.

    trust: a PEM file of the CAs that the service's certificate is checked by; the system's where it is not given.
    """
    retries = AsyncRetryPolicy(retry_total=2, retry_on_status_codes=[500, 502, 504], respect_retry_after_header=False)
    login = AsyncBearerTokenCredentialPolicy(credential, scope)
    policies = [UserAgentPolicy("fleetcert"), retries, login, RequestSpans()]
    return AsyncPipelineClient(endpoint, policies=policies, connection_verify=trust or True)

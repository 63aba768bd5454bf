"""Entity-group transactions: who signs them, and what a refusal says. (What they do is held on Azurite.)"""

from __future__ import annotations

from http import HTTPStatus

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.rest import HttpRequest

from shared.adapters import transactions
from shared.adapters.transactions import SharedKeyLite, TransactionRefused, authentication
from shared.errors import SettingsError


class Identity:
    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        return AccessToken("t", 0)

    async def close(self) -> None: ...

    async def __aenter__(self) -> Identity:
        return self

    async def __aexit__(self, *problem: object) -> None: ...


def test_an_identity_signs_by_its_token() -> None:
    assert isinstance(authentication(Identity()), AsyncBearerTokenCredentialPolicy)


def test_a_shared_access_signature_is_refused_with_the_settings_name() -> None:
    with pytest.raises(SettingsError, match="FleetStorage"):
        authentication(AzureSasCredential("sig=x"))


def test_an_account_key_signs_date_and_path() -> None:
    request = HttpRequest("POST", "http://127.0.0.1:1/account/$batch")
    policy = authentication(AzureNamedKeyCredential("account", "a2V5"))
    assert isinstance(policy, SharedKeyLite)
    policy.on_request(PipelineRequest(request, PipelineContext(None)))
    assert request.headers["Authorization"].startswith("SharedKeyLite account:")
    assert request.headers["x-ms-date"].endswith(" GMT")


ACCEPTED = (
    b'--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\nETag: W/"1"\r\n\r\n'
    b"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    b'--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\netag: W/"2"\r\n\r\n--b--\r\n'
)


def test_every_operation_has_its_own_etag_and_a_delete_has_none() -> None:
    assert list(transactions._answers(ACCEPTED)) == ['W/"1"', "", 'W/"2"']


def test_a_refusal_names_the_operation_the_status_and_the_code() -> None:
    body = b'{"odata.error":{"code":"UpdateConditionNotSatisfied","message":{"lang":"en-US","value":"3:changed"}}}'
    answer = (
        b"--b\r\n\r\nHTTP/1.1 412 Precondition Failed\r\nContent-Type: application/json\r\n\r\n" + body + b"\r\n--b--"
    )
    with pytest.raises(TransactionRefused) as refused:
        list(transactions._answers(answer))
    problem = refused.value
    assert (problem.place, problem.status, problem.code) == (3, 412, "UpdateConditionNotSatisfied")


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (2**31 - 1, {"n": 2**31 - 1}),
        (2**31, {"n": "2147483648", "n@odata.type": "Edm.Int64"}),
        (-(2**31), {"n": -(2**31)}),
        (True, {"n": True}),
        (HTTPStatus.OK, {"n": 200}),  # a range looks for a subclass's number one by one, four billion times
    ],
)
def test_a_number_of_whatever_class_is_typed_at_once(value: int, typed: dict[str, object]) -> None:
    assert transactions._typed("n", value) == typed

"""One real Azurite for all component tests; each test has tables, queues and containers of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from fleetcert.local.azurite import azurite


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a running Azurite."""
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running.connection_string


@pytest.fixture
def fresh_name() -> str:
    """A name that no other test uses, valid for tables, queues and containers."""
    return f"t{secrets.token_hex(8)}"

"""The `$cbs` node: clients put tokens for what they are going to use (OASIS AMQP claims-based security, draft)."""

from __future__ import annotations

import logging
from typing import Final

from fleetcert.local.amqp.links import IncomingLink
from fleetcert.local.amqp.messages import Message
from fleetcert.local.amqp.requests import Answer
from fleetcert.local.amqp.tokens import PresentedToken
from fleetcert.local.ports import Credentials

CBS: Final = "$cbs"

logger = logging.getLogger(__name__)


class CbsNode:
    """Checks tokens and enters what they permit into the grants of the connection."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def answer(self, request: Message, link: IncomingLink) -> Answer:
        """202 for a good token, 401 for any other, 400 for what is no put-token request."""
        properties = request.application_properties
        if properties.get("operation") != "put-token":
            return Answer(400, f"BadRequest: the operation {properties.get('operation')!r} is not supported")
        body = request.value.decode(errors="replace") if isinstance(request.value, bytes) else request.value
        kind, audience = properties.get("type"), properties.get("name")
        if not (isinstance(kind, str) and isinstance(audience, str) and isinstance(body, str)):
            return Answer(400, "BadRequest: put-token takes a type, a name and the token as a string")
        try:
            scope, expires_at = PresentedToken(kind, audience, body).check(self._credentials)
        except PermissionError as refusal:
            logger.info("a token for %s is refused: %s", audience, refusal)
            return Answer(401, str(refusal))
        link.session.grants.add(scope, expires_at)
        return Answer(202, "Accepted")

"""What devices and CAs may be called: Azure's rules, and what fits into an X.509 certificate."""

from __future__ import annotations

import re
from typing import Final

from shared.errors import NotPossible

LONGEST: Final = 128
LONGEST_COMMON_NAME: Final = 64
"""X.520 ends a common name at 64 characters, and DPS takes the registration id from there."""

_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._:-]+")
_AUTHORITY: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST_COMMON_NAME}}}")
_CODE: Final = re.compile(rf"[A-Za-z0-9]{{1,{LONGEST_COMMON_NAME}}}")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def check_registration_id(text: str, *, for_certificate: bool = True) -> str:
    """The id itself, where DPS takes it (Azure docs: concepts-service, registration ID).

    for_certificate: it has to fit into a common name too. Raises: NotPossible that says why.
    """
    limit = LONGEST_COMMON_NAME if for_certificate else LONGEST
    if not text:
        raise NotPossible("the registration id is empty")
    if len(text) > limit:
        why = "what a certificate's common name holds" if for_certificate else "what DPS takes"
        raise NotPossible(f"the registration id has {len(text)} characters, and {limit} is {why}")
    if not _CHARACTERS.fullmatch(text):
        raise NotPossible(f"the registration id {text!r} holds more than letters, digits and . _ : -")
    if not (text[-1].isalnum() or text[-1] == "-"):
        raise NotPossible(f"the registration id {text!r} has to end with a letter, a digit or -")
    return text


def check_authority_name(text: str) -> str:
    """The name itself, where Azure takes it for a CA certificate and X.520 for a common name. Raises: NotPossible."""
    if not _AUTHORITY.fullmatch(text):
        raise NotPossible(f"a CA is called by 1 to {LONGEST_COMMON_NAME} letters, digits and . _ -, not {text!r}")
    return text


def check_code(text: str) -> str:
    """A verification code itself, where it can be one: Azure's are letters and digits. Raises: NotPossible."""
    if not _CODE.fullmatch(text):
        raise NotPossible("a verification code is at most 64 letters and digits, as `ca code` prints them")
    return text


def is_host_name(registration_id: str) -> bool:
    """Whether the id may stand in a certificate as a DNS name (RFC 5280 4.2.1.6, RFC 1123 2.1).

    A name whose last label is all digits is an address, or looks like one.
    """
    labels = registration_id.split(".")
    return all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()

"""Credential policies: each has an issuing CA of its own and says how long its leaf certificates live."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fleetcert.certificates import CertificateAuthority

NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{1,61}[a-zA-Z0-9]")
"""A policy's name: 3 to 63 characters (azure-rest-api-specs, ns_policy.tsp)."""
DAYS: Final = range(1, 91)
"""`validityPeriodInDays`. Azure's pages say 1-90 and 7-90; the wider one is taken."""
MIN_LOCAL_VALIDITY: Final = timedelta(seconds=10)
"""Our own extension `validityPeriodInSeconds`, which Azure does not have, so that a demo sees certificates expire."""


class PolicyInvalid(ValueError):
    """A policy that the namespace will not take."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A credential policy. `validity` is the exact lifetime of a leaf."""

    name: str
    validity: timedelta
    issuer: CertificateAuthority


def check_name(name: str) -> str:
    """The name, if a policy may bear it. Raises: PolicyInvalid."""
    if not NAME.fullmatch(name):
        raise PolicyInvalid(f"a policy's name has 3 to 63 letters, digits and dashes, not {name!r}")
    return name


def leaf_validity(days: int | None, seconds: int | None) -> timedelta:
    """The lifetime of leaves from `validityPeriodInDays` or the local-only `validityPeriodInSeconds`.

    Raises: PolicyInvalid where neither, both or an impossible one is given.
    """
    if (days is None) == (seconds is None):
        raise PolicyInvalid("give validityPeriodInDays, or validityPeriodInSeconds, which only the local Azure has")
    if days is not None:
        return _whole_days(days)
    validity = timedelta(seconds=seconds or 0)
    if not MIN_LOCAL_VALIDITY <= validity <= timedelta(days=DAYS[-1]):
        raise PolicyInvalid(f"validityPeriodInSeconds is at least 10 and at most {DAYS[-1]} days, not {seconds}")
    return validity


def _whole_days(days: int) -> timedelta:
    if days not in DAYS:
        raise PolicyInvalid(f"validityPeriodInDays is {DAYS[0]} to {DAYS[-1]}, not {days}")
    return timedelta(days=days)

"""For all tiers: the same examples in every run, so that a green build stays green, and alerts as their schemas say.

`HYPOTHESIS_PROFILE=explore` looks for new examples instead.
"""

from __future__ import annotations

import os

from hypothesis import settings
from support.alert_schemas import require_known
from support.fakes import FakeAlerts

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

FakeAlerts.check = staticmethod(require_known)

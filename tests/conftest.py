"""For all tiers: properties are tried on the same examples in every run, so that a green build stays green.

`HYPOTHESIS_PROFILE=explore` looks for new examples instead.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

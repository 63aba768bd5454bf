"""`python -m fleetcert.device`: the agent alone, for a device that has nothing else of this project."""

from __future__ import annotations

import os
import sys

from fleetcert.device.program import main

sys.exit(main(sys.argv[1:], os.environ))

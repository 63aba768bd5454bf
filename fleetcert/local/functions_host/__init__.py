"""A local Azure Functions host: Microsoft's Python runtime in this process, with the triggers that fleetcert uses."""

from fleetcert.local.functions_host.engine import IndexingFailed
from fleetcert.local.functions_host.host import FunctionsHost
from fleetcert.local.functions_host.settings import ConfigurationError, read_settings

__all__ = ["ConfigurationError", "FunctionsHost", "IndexingFailed", "read_settings"]

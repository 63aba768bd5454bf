"""An app that cannot be indexed: the binding and the parameter have different names."""

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="jobs", connection="FleetStorage")
def misnamed(msg: func.QueueMessage) -> None:
    """Never runs."""

"""An app with every trigger that the local host knows; it writes what it sees into the file JOURNAL."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
logger = logging.getLogger("sample")


def note(**entry: object) -> None:
    with Path(os.environ["JOURNAL"]).open("a", encoding="utf-8") as journal:
        journal.write(json.dumps({"at": time.time(), **entry}) + "\n")


@app.route(route="echo/{name:alpha?}", methods=["GET", "POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "name": req.route_params.get("name"),
        "query": dict(req.params),
        "headers": dict(req.headers),
        "body": req.get_body().decode(),
        "settings": {name: os.environ.get(name) for name in ("COLOUR", "WEBSITE_AUTH_ENABLED")},
    }
    return func.HttpResponse(json.dumps(seen), status_code=203, mimetype="application/json", headers={"x-sample": "1"})


@app.route(route="devices/{id}")
def any_method(req: func.HttpRequest) -> str:
    return f"{req.method} {req.route_params['id']}"


@app.route(route="devices/known")
def known_device(req: func.HttpRequest) -> str:
    return "the literal route"


@app.route(route="files/{*path}")
def files(req: func.HttpRequest) -> str:
    return req.route_params.get("path", "")


@app.route(route="cookies")
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("", headers={"Set-Cookie": "a=b; Path=/; HttpOnly"})


@app.route(route="fails")
def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("this function always fails")


@app.route(route="logs")
async def logs(req: func.HttpRequest) -> str:
    logger.warning("a line of user code")
    return "logged"


@app.route(route="slow-request")
async def slow_request(req: func.HttpRequest) -> str:
    note(function="slow_request", phase="start")
    await asyncio.sleep(1.5)
    note(function="slow_request", phase="end")
    return "finished"


@app.route(route="keyed", auth_level=func.AuthLevel.FUNCTION)
def keyed(req: func.HttpRequest) -> str:
    return "opened"


@app.route(route="for-the-master", auth_level=func.AuthLevel.ADMIN)
def for_the_master(req: func.HttpRequest) -> str:
    return "opened"


@app.timer_trigger(schedule="* * * * * *", arg_name="timer")
def tick(timer: func.TimerRequest) -> None:
    note(function="tick", past_due=timer.past_due, status=timer.schedule_status)


@app.timer_trigger(schedule="* * * * * *", arg_name="timer")
async def slow_tick(timer: func.TimerRequest) -> None:
    note(function="slow_tick", phase="start", past_due=timer.past_due)
    await asyncio.sleep(1.3)
    note(function="slow_tick", phase="end")


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer", run_on_startup=True)
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:01")
async def retried_on_startup(timer: func.TimerRequest, context: func.Context) -> None:
    note(function="retried_on_startup", retry=context.retry_context.retry_count, past_due=timer.past_due)
    raise ValueError("fails in each attempt")


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
def yearly(timer: func.TimerRequest) -> None:
    note(function="yearly", past_due=timer.past_due, status=timer.schedule_status)


@app.queue_trigger(arg_name="msg", queue_name="%JOBS%", connection="FleetStorage")
@app.queue_output(arg_name="$return", queue_name="done", connection="FleetStorage")
async def work(msg: func.QueueMessage) -> str:
    body = msg.get_body().decode()
    inserted = msg.insertion_time.isoformat()
    note(function="work", phase="start", body=body, id=msg.id, attempt=msg.dequeue_count, inserted=inserted)
    if body.startswith("slow"):
        await asyncio.sleep(1)
    note(function="work", phase="end", body=body)
    if body.startswith("fail"):
        raise ValueError("this message always fails")
    return json.dumps({"done": body})


@app.queue_trigger(arg_name="msg", queue_name="%NOT_SET%", connection="FleetStorage")
def in_error(msg: func.QueueMessage) -> None:
    note(function="in_error")

"""A double of `az` and `azd` for the hooks: it keeps Entra, DPS and ADR in a file, and refuses what it does not know.

`python fake_azure.py az|azd ARGUMENTS...`; the state is the JSON file that FAKE_AZURE names. Each call is appended to
its `calls`, each change to its `changes`.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

type State = dict[str, Any]
type Answer = str | None


class Refused(Exception):
    """The service says no."""


def main(program: str, arguments: list[str]) -> int:
    file = Path(os.environ["FAKE_AZURE"])
    state: State = json.loads(file.read_text())
    state["calls"].append([program, *arguments])
    try:
        answer = (_azd if program == "azd" else _az)(state, arguments)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    finally:
        file.write_text(json.dumps(state))
    if answer is not None:
        print(answer)
    return 0


def _azd(state: State, arguments: list[str]) -> Answer:
    match arguments:
        case ["env", "set", name, value]:
            state["environment"][name] = value
            return None
    raise AssertionError(f"azd {arguments} is not known to the double")


def _az(state: State, arguments: list[str]) -> Answer:
    verbs, options = _parsed(arguments)
    handler = HANDLERS.get(verbs)
    if handler is None:
        raise AssertionError(f"az {verbs} is not known to the double")
    answer = handler(state, options)
    return None if options.get("output") == "none" else answer


def _parsed(arguments: list[str]) -> tuple[str, dict[str, str]]:
    verbs: list[str] = []
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest and not rest[0].startswith("--"):
        verbs.append(rest.pop(0))
    while rest:
        name = rest.pop(0).removeprefix("--")
        options[name] = rest.pop(0) if rest and not rest[0].startswith("--") else ""
    return " ".join(verbs), options


def _changed(state: State, what: str) -> None:
    state["changes"].append(what)


def _account(state: State, options: dict[str, str]) -> Answer:
    if not state["signed_in"]:
        raise Refused("Please run 'az login'")
    return "ada@contoso.com" if options.get("query") == "user.name" else "{}"


def _provider(state: State, options: dict[str, str]) -> Answer:
    return str(state["providers"][options["namespace"]])


def _register(state: State, options: dict[str, str]) -> Answer:
    state["providers"][options["namespace"]] = "Registered"
    _changed(state, f"provider {options['namespace']}")
    return None


def _apps(state: State, options: dict[str, str]) -> Answer:
    found = [client for client, app in state["apps"].items() if app["name"] == options["display-name"]]
    return "\n".join(found) or None


def _make_app(state: State, options: dict[str, str]) -> Answer:
    if not state["may_register"]:
        raise Refused("Insufficient privileges")
    client = str(uuid.uuid4())
    state["apps"][client] = {"name": options["display-name"], "redirects": "", "document": {}}
    _changed(state, "app")
    return client


def _show_app(state: State, options: dict[str, str]) -> Answer:
    if options["id"] not in state["apps"]:
        raise Refused("Resource does not exist")
    return "{}"


def _update_app(state: State, options: dict[str, str]) -> Answer:
    app = state["apps"][options["id"]]
    if app["redirects"] != options["web-redirect-uris"]:
        app["redirects"] = options["web-redirect-uris"]
        _changed(state, "redirect")
    return None


def _delete_app(state: State, options: dict[str, str]) -> Answer:
    del state["apps"][options["id"]]
    _changed(state, "app deleted")
    return None


def _show_principal(state: State, options: dict[str, str]) -> Answer:
    if options["id"] not in state["principals"]:
        raise Refused("Resource does not exist")
    principal = state["principals"][options["id"]]
    if options.get("query") == "appRoles[].id":
        return "\n".join(role["id"] for role in state["apps"][options["id"]]["document"]["appRoles"])
    return str(principal["id"])


def _make_principal(state: State, options: dict[str, str]) -> Answer:
    state["principals"][options["id"]] = {"id": f"principal-of-{options['id']}"}
    _changed(state, f"principal {options['id']}")
    return str(state["principals"][options["id"]]["id"])


def _update_principal(state: State, options: dict[str, str]) -> Answer:
    assert options["set"] == "appRoleAssignmentRequired=true"
    principal = state["principals"][options["id"]]
    if not principal.get("required"):
        principal["required"] = True
        _changed(state, "assignment required")
    return None


def _credentials(state: State, options: dict[str, str]) -> Answer:
    credential = state["credentials"].get(options["id"])
    return credential["subject"] if credential else None


def _put_credential(state: State, options: dict[str, str]) -> Answer:
    document = _document(options["parameters"])
    assert document["audiences"] == ["api://AzureADTokenExchange"]
    state["credentials"][options["id"]] = document
    _changed(state, "credential")
    return None


def _rest(state: State, options: dict[str, str]) -> Answer:
    for pattern, handler in REST:
        if match := re.fullmatch(pattern, f"{options['method']} {options['url']}"):
            return handler(state, options, match)
    raise AssertionError(f"az rest {options} is not known to the double")


def _patch_app(state: State, options: dict[str, str], match: re.Match[str]) -> Answer:
    document, app = _document(options["body"]), state["apps"][match[1]]
    clients = document.get("api", {}).get("preAuthorizedApplications", [])
    known = {scope["id"] for scope in app["document"].get("api", {}).get("oauth2PermissionScopes", [])}
    assert all(scope in known for client in clients for scope in client["delegatedPermissionIds"]), "no such scope yet"
    merged = {**app["document"], **document, "api": {**app["document"].get("api", {}), **document.get("api", {})}}
    if merged != app["document"]:
        app["document"] = merged
        _changed(state, "registration")
    return None


def _assignments(state: State, options: dict[str, str], match: re.Match[str]) -> Answer:
    if options["method"] == "get":
        return "\n".join(a["appRoleId"] for a in state["assignments"] if a["principalId"] == state["me"]) or None
    state["assignments"].append(_document(options["body"]))
    _changed(state, "app role")
    return None


def _synchronize(state: State, options: dict[str, str], match: re.Match[str]) -> Answer:
    state["hub_certificates"] = max(1, state["hub_certificates"])
    return None


def _group(state: State, options: dict[str, str], match: re.Match[str]) -> Answer:
    assert options["resource"] == "https://azure-devices-provisioning.net"
    if options["method"] == "get":
        if match[1] not in state["groups"]:
            raise Refused("Not Found")
        return json.dumps(state["groups"][match[1]])
    if state["refuse_groups"]:
        state["refuse_groups"] -= 1
        raise Refused("Forbidden")
    document = _document(options["body"])
    assert document["attestation"]["x509"]["caReferences"]["primary"] in state["dps_certificates"], "no such CA"
    state["groups"][match[1]] = document
    _changed(state, f"group {match[1]}")
    return None


def _show_ca(state: State, options: dict[str, str]) -> Answer:
    if options["name"] not in state["dps_certificates"]:
        raise Refused("Not Found")
    return "{}"


def _make_ca(state: State, options: dict[str, str]) -> Answer:
    assert options["verified"] == "true"
    state["dps_certificates"][options["name"]] = Path(options["path"]).read_text()
    _changed(state, f"ca {options['name']}")
    return None


def _stop(state: State, options: dict[str, str]) -> Answer:
    state["stopped"] = True
    return None


def _roles(state: State, options: dict[str, str]) -> Answer:
    return "\n".join(state["roles"]) or None


def _delete_role(state: State, options: dict[str, str]) -> Answer:
    if any(a["role"] == options["name"] for a in state["role_assignments"].values()):
        raise Refused("There are existing role assignments referencing role")
    del state["roles"][options["name"]]
    return None


def _role_assignments(state: State, options: dict[str, str]) -> Answer:
    return "\n".join(i for i, a in state["role_assignments"].items() if a["role"] == options["role"]) or None


def _delete_assignment(state: State, options: dict[str, str]) -> Answer:
    del state["role_assignments"][options["ids"]]
    return None


def _policy(state: State, options: dict[str, str]) -> Answer:
    return str(state["policy"][options["query"]])


def _lock(state: State, options: dict[str, str]) -> Answer:
    if options["if-match"] != state["policy"]["etag"] or state["policy"]["state"] == "Locked":
        raise Refused("412")
    state["policy"] |= {"state": "Locked", "etag": "2"}
    _changed(state, "locked")
    return None


def _document(argument: str) -> Any:
    assert argument.startswith("@"), "documents come from files"
    text = Path(argument.removeprefix("@")).read_text()
    assert not re.search(r"\{\w+\}", text), f"a place was left empty: {text}"
    return json.loads(text)


HANDLERS: dict[str, Callable[[State, dict[str, str]], Answer]] = {
    "account show": _account,
    "account set": lambda state, options: None,
    "provider show": _provider,
    "provider register": _register,
    "ad app list": _apps,
    "ad app create": _make_app,
    "ad app show": _show_app,
    "ad app update": _update_app,
    "ad app delete": _delete_app,
    "ad app federated-credential list": _credentials,
    "ad app federated-credential create": _put_credential,
    "ad app federated-credential update": _put_credential,
    "ad signed-in-user show": lambda state, options: str(state["me"]),
    "ad sp show": _show_principal,
    "ad sp create": _make_principal,
    "ad sp update": _update_principal,
    "iot hub certificate list": lambda state, options: str(state["hub_certificates"]),
    "iot dps certificate show": _show_ca,
    "iot dps certificate create": _make_ca,
    "functionapp stop": _stop,
    "rest": _rest,
    "role definition list": _roles,
    "role definition delete": _delete_role,
    "role assignment list": _role_assignments,
    "role assignment delete": _delete_assignment,
    "storage container immutability-policy show": _policy,
    "storage container immutability-policy lock": _lock,
}
REST: list[tuple[str, Callable[[State, dict[str, str], re.Match[str]], Answer]]] = [
    (r"patch https://graph\.microsoft\.com/v1\.0/applications\(appId='([^']+)'\)", _patch_app),
    (r"(?:get|post) https://graph\.microsoft\.com/v1\.0/servicePrincipals/([^/]+)/appRoleAssignedTo", _assignments),
    (
        r"post https://management\.azure\.com(/subscriptions/[^?]+)/credentials/default/synchronize\?api-version=[\w-]+",
        _synchronize,
    ),
    (r"(?:get|put) https://[^/]+/enrollmentGroups/([^?]+)\?api-version=[\w-]+", _group),
]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

"""The page that stands where Azure shows Entra's sign-in: it asks for the roles that one would like to have."""

from __future__ import annotations

from html import escape
from typing import Final

from fleetcert.local.identity import ROLES

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<title>Sign in to the local Azure</title>
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem }}
  fieldset {{ border: 1px solid; border-radius: .5rem; padding: .5rem 1rem; margin: 1rem 0 }}
  label {{ display: block; padding: .25rem 0 }}
  button {{ font: inherit; padding: .5rem 1rem }}
</style>
<h1>Local sign-in</h1>
<p>In Azure, Microsoft Entra would ask who you are. Here you choose what you may do.</p>
<form action="/.auth/login/local">
  <input type="hidden" name="post_login_redirect_uri" value="{target}">
  <fieldset>
    <legend>Roles</legend>
{roles}
  </fieldset>
  <button>Sign in</button>
</form>
"""


def sign_in_page(target: str) -> str:
    """The page as HTML. target: the path to go to afterwards."""
    boxes = (f'    <label><input type="checkbox" name="role" value="{role}" checked> {role}</label>' for role in ROLES)
    return _PAGE.format(target=escape(target), roles="\n".join(boxes))

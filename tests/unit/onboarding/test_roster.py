"""Lists of devices as people have them: nothing is lost, and what is bad is named."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.onboarding.roster import Roster, read_roster
from shared.errors import NotPossible


def read(content: str | bytes, *, for_certificate: bool = True) -> Roster:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ids.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_roster(path, for_certificate=for_certificate)


def ids(roster: Roster) -> list[str]:
    return [device.registration_id for device in roster.devices]


@pytest.mark.parametrize(
    "content",
    [
        "a\nb\n",
        "registrationId\na\nb\n",
        "Registration_ID\r\na\r\nb\r\n",
        "\ufeffregistrationId\na\nb",
        "site,registrationId,note\nBern,a,x\nBern,b,y\n",
        'site;"registrationId"\nBern;a\n"Bern; Nord";b\n',
        "registrationId\tsite\na\tBern\nb\t\n",
        "\n a \n\nb\n\n",
    ],
)
def test_ids_are_found_in_every_form_that_people_have(content: str):
    roster = read(content)
    assert (ids(roster), roster.rejected) == (["a", "b"], [])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a b", "holds more than letters"),
        ("A", "is that of line 2"),
        ("x" * 65, "has 65 characters"),
        ('"open', "a quote is not closed"),
        ("b,c", None),
        (",b", "is empty"),
    ],
)
def test_a_bad_line_is_named_and_spoils_no_other(line: str, why: str | None):
    roster = read(f"registrationId,site\na,x\n{line}\nlast,y\n")
    if why is None:
        assert ids(roster) == ["a", "b", "last"]
        return
    assert ids(roster) == ["a", "last"]
    (bad,) = roster.rejected
    assert (bad.line, bad.text) == (3, line[:80])
    assert why in bad.reason


def test_what_is_no_utf_8_is_a_bad_line():
    roster = read(b"a\n\xff\xfe\nb\n")
    assert ids(roster) == ["a", "b"]
    assert roster.rejected[0].line == 2
    roster.rejected[0].text.encode()


def test_several_columns_without_the_name_are_refused():
    with pytest.raises(NotPossible, match="names no column registrationId, and there are 2 columns"):
        read("a,b\nc,d\n")


def test_a_list_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(NotPossible, match="cannot be read"):
        read_roster(tmp_path / "none.csv")


def test_ids_for_symmetric_keys_may_be_longer():
    assert ids(read("x" * 128, for_certificate=False)) == ["x" * 128]


LINES = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=70), max_size=20)


@given(LINES)
def test_every_line_that_is_not_blank_is_a_device_or_rejected(lines: list[str]):
    lines = ["registrationId", *lines]
    roster = read("\n".join(lines))
    told = sorted([one.line for one in roster.devices] + [one.line for one in roster.rejected])
    assert told == [n for n, line in enumerate(lines, 1) if line.strip() and n > 1]
    assert len({one.casefold() for one in ids(roster)}) == len(roster.devices)

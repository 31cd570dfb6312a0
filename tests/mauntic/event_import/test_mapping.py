"""Mapping files: what they may say, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mauntic.errors import OperatorError
from mauntic.event_import.event import RawEvent
from mauntic.event_import.mapping import read_mapping

MAPPING = """
system = "acme"
time = "%d.%m.%Y %H:%M"
left_out = ["Queued"]

[columns]
email = "E-Mail"
type = "Action"
time = "Date"
campaign = "Mailing"

[types]
Open = "email_opened"

[data]
url = "Link"
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mapping.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_mapping_finds_the_event_of_a_row(tmp_path: Path) -> None:
    form = read_mapping(written(tmp_path, MAPPING))
    row = {
        "E-Mail": " a@b.example ", "Action": "Open", "Date": "1.2.2024 10:00", "Mailing": "7",
        "Link": "", "Other": "x",
    }  # fmt: skip
    assert list(form.events(row)) == [
        RawEvent(event_type="Open", time="1.2.2024 10:00", email="a@b.example", campaign="7")
    ]
    assert form.columns == ("Action", "Date", "E-Mail", "Mailing", "Link")
    assert form.types == {"Open": "email_opened"}
    assert form.left_out == frozenset({"Queued"})


def test_a_name_with_dots_is_a_path_in_json(tmp_path: Path) -> None:
    text = (
        'system = "acme"\ntime = "seconds"\n[columns]\nemail = "person.mail"\n'
        'type = "kind"\ntime = "at"\n[data]\nplan = "person.plan"\n'
    )
    form = read_mapping(written(tmp_path, text))
    [event] = form.events({"person": {"mail": "a@b.example", "plan": 3}, "kind": "x", "at": 1})
    assert isinstance(event, RawEvent)
    assert (event.email, event.time, event.data) == ("a@b.example", 1, {"plan": 3})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('system = "acme"', "", "system: Field required"),
        ('system = "acme"', 'system = "Acme Mail"', "system"),
        ('system = "acme"', 'system = "sendgrid"', "choose another name"),
        ("left_out", "leftout", "leftout: Extra inputs"),
        ('email = "E-Mail"', "", "needs columns.email or columns.contact_id"),
        ('campaign = "Mailing"', 'campaign = "a"\nsource = "b"', "take one"),
        ("%d.%m.%Y %H:%M", "%H:%M", "has no day"),
        ("%d.%m.%Y %H:%M", "unix", "seconds, milliseconds or a pattern"),
        ("[types]", "[types", "is not TOML"),
    ],
)
def test_a_wrong_mapping_names_its_fault(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MAPPING
    with pytest.raises(OperatorError, match=message):
        read_mapping(written(tmp_path, MAPPING.replace(old, new)))


def test_a_missing_mapping_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read: FileNotFoundError"):
        read_mapping(str(tmp_path / "none.toml"))

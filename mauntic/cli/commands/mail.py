"""`mauntic mail`: list, show and open the messages that the local system captured."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from delivery.providers.capture_format import CapturedMessage
from mauntic.cli.ui.options import AsJson, Limit
from mauntic.cli.ui.output import print_json, print_table, say
from mauntic.operations.captured_mail import CapturedMail
from mauntic.operations.connection import open_control
from mauntic.operations.mail_eml import to_eml
from mauntic.operations.mail_page import page_of
from mauntic.project.printable import visible
from mauntic.project.private_files import write_private

app = typer.Typer(
    no_args_is_help=True,
    help="""List, show and open the messages that the local system captured instead of sending.

    Examples:

      mauntic mail list

      mauntic mail open
    """,
)
Id = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", help="Id, or its beginning; default: the newest message."),
]
ChannelName = Literal["email", "sms", "push"]


@app.command("list")
def list_mail(
    day: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only messages created on this day, in UTC.")
    ] = None,
    organization: Annotated[str | None, typer.Option(help="Only of this organization.")] = None,
    channel: Annotated[ChannelName | None, typer.Option(help="Only of this channel.")] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only to addresses with this text.")
    ] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List captured messages, the newest first.

    Examples:

      mauntic mail list --to jane@example.com

      mauntic mail list --channel sms --limit 100 --json
    """
    with _mail() as mail:
        found = mail.newest(
            limit, day=_date(day), organization_id=organization, channel=channel, to=to
        )
    rows = [_row(message) for message in found]
    if as_json:
        print_json(rows)
    else:
        print_table("captured messages", rows, empty="none")


@app.command()
def show(
    message_id: Id = None,
    eml: Annotated[
        bool, typer.Option("--eml", help="Print it as RFC 5322, for a mail program.")
    ] = False,
    call: Annotated[
        bool, typer.Option("--call", help="Show the request that the provider would have received.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the headers and the text of a captured message.

    Examples:

      mauntic mail show 018f3c2e

      mauntic mail show 018f3c2e --eml > message.eml

      mauntic mail show 018f3c2e --call --json
    """
    with _mail() as mail:
        message = mail.find(message_id)
        request = mail.call_of(message) if call else None
    if eml:
        sys.stdout.buffer.write(to_eml(message))
    elif as_json:
        print_json(asdict(request or message))
    elif request:
        _print(request.headers, f"{request.method} {request.url}", request.body)
    else:
        details = {"id": message.message_id, "provider": message.provider_type}
        details |= {"call": message.call_id or "-"}
        _print({**message.headers, **message.data}, str(_row(message)["created_at"]), message.text)
        print_table("message", [details])


@app.command("open")
def open_mail(message_id: Id = None, as_json: AsJson = False) -> None:
    """Open a captured message in the browser, as a page without scripts.

    Without a browser only the path of the page is printed. Other accounts cannot read the page.

    Examples:

      mauntic mail open

      mauntic mail open 018f3c2e
    """
    with _mail() as mail:
        message = mail.find(message_id)
    folder = Path(tempfile.mkdtemp(prefix="mauntic-mail-"))  # closed to other accounts
    page = folder / "message.html"
    write_private(page, page_of(message))
    is_open = webbrowser.open(page.as_uri())
    if as_json:
        print_json({"page": str(page), "opened": is_open})
    else:
        say(f"{'opened' if is_open else 'no browser was found: open'} {page}")


@contextmanager
def _mail() -> Iterator[CapturedMail]:
    with open_control() as control:
        yield CapturedMail(control)


def _row(message: CapturedMessage) -> dict[str, Any]:
    return {
        "id": message.message_id,
        "created_at": message.created_at,
        "channel": message.channel,
        "class": message.message_class,
        "to": message.headers.get("To", ""),
        "subject": message.subject or message.text[:60],
        "organization_id": message.organization_id,
    }


def _print(headers: Any, title: str, body: str) -> None:
    say(title)
    for name, value in headers.items():
        say(visible(f"{name}: {value}"))
    say("")
    say(visible(body))


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise typer.BadParameter("--day must be a date such as 2026-03-10.") from None

"""The formats by the names that `--format` takes."""

from __future__ import annotations

from collections.abc import Mapping

from mauntic.event_import.formats import hubspot, klaviyo, mailchimp, segment, sendgrid, ses
from mauntic.event_import.formats.form import Format

FORMATS: Mapping[str, Format] = {
    module.FORMAT.system: module.FORMAT
    for module in (hubspot, klaviyo, mailchimp, segment, sendgrid, ses)
}

"""The types of event that raise a contact's engagement.

`make catalogue` writes the list in the SQL of scores from this declaration. The triggers of
`analytics.contact_activity` append a change for the same types: a new type needs a migration that
replaces their functions. Pure.
"""

VISIT_TYPES = ("email_opened", "email_clicked", "form_submitted", "page_visited")
DOWNLOAD_TYPE = "content_download"
ENGAGEMENT_TYPES = (*VISIT_TYPES, DOWNLOAD_TYPE)

"""A captured message as a page: its headers, and its HTML in a frame that runs no script."""

from __future__ import annotations

from html import escape

from delivery.providers.capture_format import CapturedMessage

# Of the page and of the frame, which inherits it: pictures and styles, as mail programs show them.
POLICY = "default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline'"
STYLE = """
body { margin: 0; display: flex; flex-direction: column; height: 100vh; font: 14px sans-serif; }
table { margin: 12px; border-spacing: 8px 2px; } th { text-align: right; vertical-align: top; }
td { overflow-wrap: anywhere; } iframe { flex: 1; border: 0; border-top: 1px solid #ccc; }
pre { margin: 12px; white-space: pre-wrap; border-top: 1px solid #ccc; padding-top: 12px; }
"""


def page_of(message: CapturedMessage) -> str:
    """Return the page as HTML."""
    title = message.subject or f"{message.channel} {message.message_id}"
    rows = {**message.headers, "Created": f"{message.created_at:%Y-%m-%d %H:%M:%S}Z"}
    rows |= {f"data {name}": value for name, value in message.data.items()}
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows.items()
    )
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><table>{cells}</table>{_content(message)}</body></html>"
    )


def _content(message: CapturedMessage) -> str:
    if not message.html:
        return f"<pre>{escape(message.text)}</pre>"
    document = f'<base target="_blank">{message.html}'
    # Links open in a window of their own; there is no allow-scripts and no allow-same-origin.
    allowed = "allow-popups allow-popups-to-escape-sandbox"
    return f'<iframe sandbox="{allowed}" srcdoc="{escape(document)}"></iframe>'

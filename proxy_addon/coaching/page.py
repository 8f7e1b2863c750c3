"""The page where a user gives a reason, answered by the proxy in the origin's place.

Whoever may post here can let an image out, so the reason has to come from a person: the ticket is sealed and is
this user's and this host's; a browser's request must be a navigation from a page of the same origin that the user set
off (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/), which no script can feign; nothing here can be read by
another origin or shown in a frame.  Programs, which send none of those fields, must at least not name another origin.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

from proxy_addon.coaching.passes import MAX_REASON, Coaching, Ticket, reason_error, who
from proxy_addon.responses import pages
from proxy_addon.responses.pages import COACH_PATH, HTML, Told, content_policy, escaped
from proxy_addon.responses.reply import Reply
from shared.errors import StoreError
from shared.types import Action, Activity, Actor, Decision, HttpHead

MAX_FORM_BYTES: Final = 16 << 10
"""A reason of 500 characters takes 6 KB percent-encoded, a ticket 1 KB."""
MAX_FIELDS: Final = 8
FORM: Final = "application/x-www-form-urlencoded"


def is_coach_page(head: HttpHead) -> bool:
    """Tell whether a request is for the page."""
    return head.path == COACH_PATH


def refused_head(head: HttpHead) -> Reply | None:
    """Return the answer to a request whose body is not even looked at."""
    if head.method in {"GET", "HEAD"}:
        return None
    if head.method != "POST":
        return _message(head, 405, "This page takes a reason only", "Use the form.")
    length = head.header("content-length")
    if not (length.isascii() and length.isdigit()):
        return _message(head, 411, "The form has no length", "Please send the form again.")
    if len(length) > len(str(MAX_FORM_BYTES)) or int(length) > MAX_FORM_BYTES:
        return _message(head, 413, "The form is too large", f"A reason has {MAX_REASON} characters at most.")
    return None


async def coach_page(coaching: Coaching, head: HttpHead, body: bytes, actor: Actor) -> Reply:
    """Return the form, or what came of one."""
    posted = head.method == "POST"
    if posted and not _is_users_own(head):
        return _message(head, 403, "This was not sent by you", "Open the link yourself and send the form from there.")
    fields = _fields(body.decode("utf-8", "replace") if posted else head.query)
    text = fields.get("ticket", "")
    ticket = coaching.opened(text, who(actor.user, actor.ip), head.host)
    if ticket is None:
        return _message(head, 403, "This link does not count any more", "Do it again to get a new one.")
    if not posted:
        return _form(head, 200, ticket, text)
    reason = " ".join(fields.get("reason", "").split())
    error = reason_error(reason)
    if error:
        return _form(head, 422, ticket, text, error)
    try:
        given = await coaching.grant(ticket, reason)
    except StoreError:
        return _message(head, 503, "Your reason could not be recorded", "Please try again in a moment.")
    until = datetime.fromtimestamp(given.until, UTC)
    doing = ticket.activity.replace("_", " ")
    what = f"Go back and do it again: until {until:%H:%M} UTC the same {doing} is let through."
    return _message(head, 200, "Thank you, your reason is recorded", what)


def _is_users_own(head: HttpHead) -> bool:
    if head.header("content-type").partition(";")[0].strip().lower() != FORM:
        return False
    if site := head.header("sec-fetch-site"):
        navigates = head.header("sec-fetch-mode") == "navigate" and head.header("sec-fetch-user") == "?1"
        return site == "same-origin" and navigates
    origin = head.header("origin")
    return (
        not origin or origin.partition("://")[2].rpartition(":")[0] == head.host or origin.endswith(f"://{head.host}")
    )


def _fields(text: str) -> dict[str, str]:
    try:
        values = parse_qs(text, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return {name: found[0] for name, found in values.items()}


def _form(head: HttpHead, status: int, ticket: Ticket, text: str, error: str = "") -> Reply:
    told = Told(Decision(action=Action.COACH, policy=ticket.policy), ticket.incident, Activity(ticket.activity), text)
    page = pages.refusal_page(told, f'<p class="error" role="alert">{escaped(error)}</p>' if error else "")
    return _reply(head, status, page, content_policy(form=True))


def _message(head: HttpHead, status: int, title: str, what: str) -> Reply:
    page = pages.page("coached.html", title=escaped(title), what=escaped(what))
    return _reply(head, status, page, content_policy(form=False))


def _reply(head: HttpHead, status: int, page: str, policy: str) -> Reply:
    body = page.encode()
    headers = (
        ("Content-Type", HTML),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "same-origin"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    )
    return Reply(status=status, headers=headers, body=b"" if head.method == "HEAD" else body)

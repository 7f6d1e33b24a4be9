"""What the page shows where no scripts run: a list as plain HTML, every text of it escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["PLACE", "lists"]

PLACE = "<!-- the list for who runs no scripts -->"
"""Where in the template the list goes."""


def lists(found: Mapping[str, Any], user: str) -> str:
    """Return a form that asks for somebody's list, and the list that was found.

    Parameters
    ----------
    found : mapping
        An answer with a list, as `cofactor.apps.web.ranking.recommended` gives it.
    user : str
        Whose it is; empty for nobody's.

    Examples
    --------
    >>> item = {"position": 1, "item": "7", "title": "<b>Tea</b>", "year": None, "genres": [], "rated_by": 3}
    >>> "&lt;b&gt;Tea&lt;/b&gt;" in lists({"popular": True, "items": [item]}, "")
    True
    """
    rows = "".join(_row(item) for item in found["items"])
    label = _label(found, user)
    body = f'<ol class="rows">{rows}</ol>' if rows else '<p class="quiet">Nothing is left to suggest.</p>'
    return (
        '<form class="plain-form" action="/" method="get"><label for="plain-user">Somebody\'s list</label>'
        f'<input id="plain-user" name="user" maxlength="200" value="{escape(user)}" autocomplete="off">'
        '<button type="submit">Show</button></form>'
        f"<h2>{escape(label)}</h2>{body}"
    )


def _label(found: Mapping[str, Any], user: str) -> str:
    if not user:
        return "Popular: what most people rated"
    if found["popular"]:
        return f"Nothing is known of {user} yet: what most people rated"
    return f"For {user}"


def _row(item: Mapping[str, Any]) -> str:
    title = escape(item["title"] or item["item"])
    known = [*map(escape, item["genres"][:3]), _people(item["rated_by"])]
    reasons = _because(item.get("reasons") or [])
    return (
        f'<li class="row"><span class="place">{item["position"]}</span><div class="what">'
        f'<h3 class="title"><bdi>{title}</bdi></h3><p class="known">{" · ".join(known)}</p>{reasons}</div></li>'
    )


def _people(count: int) -> str:
    return "rated by 1 person" if count == 1 else f"rated by {count:,} people"


def _because(reasons: Sequence[Mapping[str, Any]]) -> str:
    if not reasons:
        return ""
    named = " and ".join(f"<bdi>{escape(reason['title'] or reason['item'])}</bdi>" for reason in reasons)
    return f'<p class="because">Because of {named}</p>'

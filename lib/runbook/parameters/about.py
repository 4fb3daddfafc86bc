"""What was accepted, whom to call, and which server this is."""

from __future__ import annotations

import datetime as dt

from runbook.parameters.model import Model


class KnownException(Model):
    """A finding that is accepted until a date, and only while a functional probe of the same thing passes."""

    check: str
    subject: str
    reason: str
    expires: dt.date
    requires: str | None = None


class Contact(Model):
    """Whom to call. Roles in the repo, persons in the owner's own file."""

    role: str
    name: str = ""
    reach: str = ""


class About(Model):
    """The server's card: provider, review date, contacts."""

    provider: str = ""
    dns: str = ""
    certificates_by: str = ""
    deployed: dt.date | None = None
    reviewed: dt.date | None = None
    next_review: dt.date | None = None
    contacts: tuple[Contact, ...] = ()

"""What the tests of pyopenvidu share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyopenvidu

Connect = Callable[[], pyopenvidu.OpenVidu]

# How the library reads times, deprecated since Python 3.12.
WARNING = "ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning"


def recent(moment: datetime | None) -> bool:
    """Of one of the library's times, which are UTC without saying so."""
    assert moment is not None
    age = datetime.now(UTC).replace(tzinfo=None) - moment
    return timedelta(seconds=-1) < age < timedelta(minutes=2)

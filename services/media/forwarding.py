"""Which packet path there is: the pump in C, or its twin in Python."""

from __future__ import annotations

import structlog

from .port import Port
from .pump import Pump, PumpMissing

log = structlog.get_logger(__name__)


def open_port(host: str, ports: range, pump: str = "auto") -> Port:
    """The first free port of `ports`. `pump` is `c`, `python`, or `auto`: C where it is there.

    Raises `OSError` where no port is free, `PumpMissing` where C is demanded and not there.
    """
    if pump == "python":
        return Port(host, ports)
    try:
        return Pump(host, ports)
    except PumpMissing as error:
        if pump == "c":
            raise
        log.warning("media is forwarded by Python, not in C", reason=str(error))
        return Port(host, ports)

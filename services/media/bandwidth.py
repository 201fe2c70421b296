"""How much the way to one subscriber carries: judged by its reports, tried out by probes.

Pure: what happened goes in with its time, the estimate and the probe to send come out. Bits are
bits a second, times monotonic seconds.

Until something goes wrong there is no estimate, and the subscriber gets the best there is. A
subscriber's REMB follows what it receives, so a low one means nothing by itself; it counts when it
stays below what is sent. Loss counts beyond a floor: loss that does not get less when less is sent
is the radio's, not a queue's, and sending less would not help.
"""

from __future__ import annotations

from collections import deque

WINDOW = 1.0  # seconds over which the sent rate is measured
TOLERATED = 0.10  # share lost beyond the floor that is no congestion
HIGHEST_FLOOR = 0.35  # more loss than this is congestion, whatever else
STORM = 0.3  # share asked for again, beyond the floor, that is a report of its own
REMB_SHARE = 0.8  # of the sent rate; a REMB below is bad news
REMB_FRESH = 5.0  # seconds
DELAY = 0.25  # seconds of round trip beyond twice the least, where there is no REMB
MARGIN = 0.85  # of what arrived is what we dare to send
LEAST = 30_000  # an estimate is never lower
SETTLING = 1.2  # seconds until reports speak of what was changed
BACK_OFF, MAX_BACK_OFF = 2.0, 5.0  # seconds before the next probe
CALM = 10.0  # seconds without trouble after which the back-off is short again
PROBE = 0.6  # seconds
MAX_STEP = 4  # times the sent rate: a probe asks for no more
LEAST_PROBE = 100_000


class Estimator:
    """`estimate` is 0 while nothing speaks against any rate."""

    def __init__(self) -> None:
        self.estimate = 0
        self.rate = 0.0  # sent in the last second
        self.probes = 0
        self.floor = 0.0  # share lost whatever is sent
        self._sent: deque[tuple[float, int, int]] = deque()  # time, bytes, packets, all in all
        self._remb: tuple[int, float] | None = None
        self._low_since: float | None = None  # REMB below what is sent
        self._least_round_trip = float("inf")
        self._nacks: deque[tuple[float, int]] = deque()
        self._bad_reports = 0
        self._trouble_at = float("-inf")
        self._settled_at = float("-inf")
        self._suspicion: tuple[float, float, int] | None = None  # rate, arrived, estimate before
        self._back_off = BACK_OFF
        self._next_probe = 0.0
        self._probe: tuple[float, float, int] | None = None  # begun, judged at, rate
        self._before = 0.0  # sent rate when it began

    # What happened

    def sent(self, octets: int, packets: int, now: float) -> None:
        """Totals since the start, told often."""
        self._sent.append((now, octets, packets))
        while len(self._sent) > 2 and self._sent[1][0] <= now - WINDOW:
            self._sent.popleft()
        first = self._sent[0]
        if now > first[0]:
            self.rate = (octets - first[1]) * 8 / max(now - first[0], WINDOW / 4)

    def lost(self, fraction: float, now: float) -> None:
        """A reception report: the share lost since the one before."""
        if fraction <= self.floor + TOLERATED:
            self._bad_reports = 0
            self.floor += (fraction - self.floor) / 8
            if now >= self._settled_at:
                self._suspicion = None  # less was sent and less was lost: a queue's
            return
        self._bad_reports += 1
        if now < self._settled_at:
            return
        if self._is_floor(fraction):
            return
        certain = self._bad_reports > 1 or fraction > self.floor + STORM
        if certain or self._probe is not None:
            self._trouble(self.rate * (1 - fraction), now, by_loss=True)

    def nacked(self, count: int, now: float) -> None:
        """Packets asked for again; many are a report before the report."""
        self._nacks.append((now, count))
        while self._nacks[0][0] < now - WINDOW:
            self._nacks.popleft()
        packets = self._sent[-1][2] - self._sent[0][2] if self._sent else 0
        if packets < 20 or now < self._settled_at:
            return
        share = sum(n for _, n in self._nacks) / packets
        if share > self.floor + STORM:
            share = min(share, 0.9)
            self._trouble(self.rate * (1 - share), now, by_loss=True)

    def remb(self, bits: int, now: float) -> None:
        before, self._remb = self._remb, (bits, now)
        if self._probe is not None and before is not None and bits < 0.95 * before[0]:
            self._trouble(bits / MARGIN, now)
        elif not self.rate or bits >= REMB_SHARE * self.rate:
            self._low_since = None
        elif self._low_since is None:
            self._low_since = now
        elif now - self._low_since >= 0.5 and now >= self._settled_at:
            self._trouble(bits / MARGIN, now)  # it has a margin of its own

    def round_trip(self, seconds: float, now: float) -> None:
        self._least_round_trip = min(self._least_round_trip, seconds)
        if self._remb is not None and now - self._remb[1] < REMB_FRESH:
            return  # it judges our direction alone, the round trip both
        slow = seconds > 2 * self._least_round_trip + DELAY
        if slow and now >= self._settled_at:
            self._trouble(self.rate, now)

    def _is_floor(self, fraction: float) -> bool:
        """Is as large a share lost of the less that is sent now? Then it is not for the rate."""
        if self._suspicion is None or fraction > HIGHEST_FLOOR:
            return False
        rate, arrived, estimate = self._suspicion
        if self.rate > 0.8 * rate:
            return False  # not less yet
        if self.rate * (1 - fraction) > 1.15 * arrived * self.rate / rate:
            return False
        self.floor, self.estimate = fraction, estimate
        self._suspicion, self._bad_reports = None, 0
        return True

    def _trouble(self, arrived: float, now: float, *, by_loss: bool = False) -> None:
        self._trouble_at = now
        self._low_since, self._bad_reports = None, 0
        self._settled_at = now + SETTLING
        if self._probe is not None:
            # The probe was too much; what was sent before it may go on.
            self._probe = None
            self._back_off = min(2 * self._back_off, MAX_BACK_OFF)
        else:
            if by_loss and self._suspicion is None:
                self._suspicion = (self.rate, arrived, self.estimate)
            lowered = max(LEAST, int(MARGIN * arrived))
            self.estimate = min(self.estimate, lowered) if self.estimate else lowered
        self._next_probe = now + self._back_off

    # What to do

    def probe(self, wanted: int, now: float) -> int:
        """Bits to send on top right now, as far as they are missing to `wanted`: what the next
        better choice takes, 0 if there is none. Call often."""
        if now - self._trouble_at > CALM:
            self._back_off = BACK_OFF
        if self._probe is not None:
            begun, judged_at, rate = self._probe
            if now < begun + PROBE:
                return max(0, int(rate - self._before))
            if now >= judged_at:
                self._probe = None
                self.estimate = max(self.estimate, rate)
                self._next_probe = now
            return 0
        if not self.estimate or wanted <= self.estimate or now < self._next_probe:
            return 0
        rate = min(wanted, max(MAX_STEP * int(self.rate), self.estimate + LEAST_PROBE))
        self._before = self.rate
        self._probe = (now, now + PROBE + SETTLING, rate)
        self._settled_at = now  # whatever comes from now on counts
        self.probes += 1
        return max(0, int(rate - self._before))

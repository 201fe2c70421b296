"""How much of a picture the way to one subscriber carries: judged by its reports, tried out by
sending more.

Pure: what happened goes in with its time, the estimate and the padding to send come out. Bits are
bits a second, times monotonic seconds. Sound is not counted; nor does a REMB count it.

Until something goes wrong there is no estimate, and the subscriber gets the best there is. After
trouble the estimate is what arrived, less a margin; it grows again, slowly near where the trouble
was, and what the media does not fill of it is padded, so that the growth is a trial.

Loss counts beyond a floor: loss that does not get less when less is sent is the radio's, not a
queue's, and sending less would not help. A round trip that stays as long is the way's. A
subscriber's REMB follows what it receives, stays low for long after trouble and falls on a busy
machine: it tells trouble only with another sign of it, or while we try to send more.
"""

from __future__ import annotations

from collections import deque
from math import sqrt

WINDOW = 1.0  # seconds over which the sent rate is measured
TOLERATED = 0.10  # share lost beyond the floor that is no congestion
HIGHEST_FLOOR = 0.35  # more loss than this is congestion, whatever else
STORM = 0.3  # share asked for again, beyond the floor, that is a report of its own
MAX_NACKS = 512  # a second that are remembered
MOST_STORM = 0.6  # share that is believed
SIGN_OF_LOSS = 0.03  # share lost beyond the floor that confirms a REMB
REMB_SHARE = 0.8  # of the sent rate; a REMB below confirms a delay
REMB_FRESH = 5.0  # seconds
FALLEN = 2.0  # seconds for which a REMB that fell tells what arrives
DELAY = 0.2  # seconds of round trip beyond twice the least that are a queue's
SAME_DELAY = 0.06  # seconds by which a round trip differs that did not change
FURTHEST = 0.5  # of what reports tell of is the least that we believe a REMB
MARGIN = 0.85  # of what arrived is what we dare to send
LEAST = 30_000  # an estimate is never lower
SETTLING = 1.2  # seconds until reports speak of what was changed
BACK_OFF, MAX_BACK_OFF = 2.0, 4.0  # seconds after trouble before the estimate grows
CALM = 10.0  # seconds without trouble after which the back-off is short again
FORGOTTEN = 20.0  # seconds without trouble after which there is no estimate any more
GROWTH = ((0.7, 1.5), (1.15, 1.08), (1.5, 1.2))  # up to so many times the rate that was too much,
FAST = 1.5  # and beyond: growth in a second
USED = 0.7  # share of the estimate that has to be sent before it grows


class Estimator:
    """`estimate` is 0 while nothing speaks against any rate."""

    def __init__(self) -> None:
        self.estimate = 0
        self.rate = 0.0  # sent in the last second, all in all
        self.floor = 0.0  # share lost whatever is sent
        self._media_rate = 0.0  # without padding
        self._sent: deque[tuple[float, int, int, int]] = deque()  # time and totals
        self._remb: tuple[int, float] | None = None
        self._fell_at = float("-inf")  # REMB
        self._round_trip = 0.0
        self._least_round_trip = float("inf")
        self._slow_reports = 0
        self._delay: tuple[float, int] | None = None  # round trip in trouble, estimate before
        self._fraction = 0.0  # lost, of the last report
        self._nacks: deque[tuple[float, int]] = deque(maxlen=MAX_NACKS)
        self._bad_reports = 0
        self._trouble_at = float("-inf")
        self._settled_at = float("-inf")
        self._suspicion: tuple[float, float, int] | None = None  # rate, arrived, estimate before
        self._ceiling = float(LEAST)  # what arrived when it was too much
        self._back_off = BACK_OFF
        self._grows_at = 0.0
        self._grown_at = float("-inf")
        self._grown_from = LEAST

    # What happened

    def sent(self, media: int, padding: int, packets: int, now: float) -> None:
        """Totals since the start, in bytes and packets of media; told often."""
        self._sent.append((now, media, padding, packets))
        while len(self._sent) > 2 and self._sent[1][0] <= now - WINDOW:
            self._sent.popleft()
        first = self._sent[0]
        if now > first[0]:
            seconds = max(now - first[0], WINDOW / 4)
            self._media_rate = (media - first[1]) * 8 / seconds
            self.rate = self._media_rate + (padding - first[2]) * 8 / seconds

    def silent(self, now: float) -> None:
        """Nothing came through for a while: what is told now tells of that, not of a rate."""
        self._settled_at = max(self._settled_at, now + SETTLING)
        self._bad_reports = 0

    def lost(self, lost: int, packets: int, now: float) -> None:
        """A reception report: packets lost since the one before, of how many."""
        self._fraction = fraction = lost / packets
        # Of few packets chance makes up much
        chance = sqrt(self.floor * (1 - self.floor) / packets)
        if fraction <= self.floor + TOLERATED + chance:
            self._bad_reports = 0
            self.floor = min(self.floor + (fraction - self.floor) / 8, HIGHEST_FLOOR)
            if now >= self._settled_at:
                self._suspicion = None  # less was sent and less was lost: a queue's
            return
        if now < self._settled_at:
            return
        self._bad_reports += 1
        if self._is_floor(fraction):
            return
        certain = self._bad_reports > 1 or fraction > self.floor + STORM
        if certain or self._is_growing(now):
            self._trouble(self.rate * (1 - fraction), now, by_loss=True)

    def nacked(self, count: int, now: float) -> None:
        """Packets asked for again, each counted once; many are a report before the report."""
        self._nacks.append((now, count))
        while self._nacks[0][0] < now - WINDOW:
            self._nacks.popleft()
        packets = self._sent[-1][3] - self._sent[0][3] if self._sent else 0
        if packets < 20 or now < self._settled_at:
            return
        share = sum(n for _, n in self._nacks) / packets
        if share > self.floor + STORM:
            share = min(share, MOST_STORM)  # of packets that may be older than what is counted
            self._trouble(self.rate * (1 - share), now, by_loss=True)

    def remb(self, bits: int, now: float) -> None:
        before, self._remb = self._remb, (bits, now)
        if before is None or bits >= 0.95 * before[0]:
            return
        self._fell_at = now
        slow = self._round_trip > 1.5 * self._least_round_trip + DELAY / 2
        confirmed = slow or self._fraction > self.floor + SIGN_OF_LOSS
        if bits >= self.rate or now < self._settled_at:
            return
        if confirmed:
            self._trouble(self.rate, now)
        elif self._is_growing(now):
            self._trouble(self.rate, now, least=self._grown_from)

    def round_trip(self, seconds: float, now: float) -> None:
        self._round_trip = seconds
        self._least_round_trip = min(self._least_round_trip, seconds)
        if seconds <= 2 * self._least_round_trip + DELAY:
            self._slow_reports, self._delay = 0, None
            return
        self._slow_reports += 1
        if now < self._settled_at or self._slow_reports < 2:
            return
        bits, at = self._remb or (0, float("-inf"))
        if now - at < REMB_FRESH and bits >= REMB_SHARE * self.rate:
            return  # it judges our direction alone, the round trip both
        longest, estimate = self._delay or (0.0, self.estimate)
        self._delay = (seconds, estimate)
        if abs(seconds - longest) < SAME_DELAY:
            # Neither longer nor shorter with less that is sent: that is how long the way is
            self._least_round_trip, self.estimate = seconds, estimate
            self._slow_reports, self._delay = 0, None
        elif seconds < longest:
            self._grows_at = now + self._back_off  # the queue gets shorter
        else:
            self._trouble(self.rate, now)

    def _is_floor(self, fraction: float) -> bool:
        """Is as large a share lost of the less that is sent now? Then it is not for the rate."""
        if self._suspicion is None or fraction > HIGHEST_FLOOR:
            return False
        rate, arrived, estimate = self._suspicion
        if not rate or self.rate > 0.8 * rate:
            return False  # not less yet
        if self.rate * (1 - fraction) > 1.15 * arrived * self.rate / rate:
            return False
        self.floor, self.estimate = fraction, estimate
        self._suspicion, self._bad_reports = None, 0
        return True

    def _is_growing(self, now: float) -> bool:
        return now - self._grown_at < SETTLING

    def _trouble(
        self, arrived: float, now: float, *, by_loss: bool = False, least: int = LEAST
    ) -> None:
        if self._remb is not None and now - self._fell_at < FALLEN:
            told = self._remb[0] / MARGIN  # it has a margin of its own
            arrived = min(max(told, FURTHEST * arrived), self.rate)
        if by_loss and self._suspicion is None:
            self._suspicion = (self.rate, arrived, self.estimate)
        if self._is_growing(now):
            self._back_off = min(2 * self._back_off, MAX_BACK_OFF)
        elif now - self._trouble_at > CALM:
            self._back_off = BACK_OFF
        self._trouble_at = now
        self._settled_at = now + SETTLING
        self._grows_at = now + self._back_off
        self._bad_reports = self._slow_reports = 0
        self._ceiling = max(arrived, LEAST)
        lowered = max(least, int(MARGIN * arrived))
        self.estimate = min(self.estimate, lowered) if self.estimate else lowered

    # What to do

    def forgive(self, now: float) -> None:
        """Speak against no rate any more, if there was no trouble for long."""
        if now - self._trouble_at > FORGOTTEN:
            self.estimate = 0

    def grow(self, wanted: int, elapsed: float, now: float) -> int:
        """Bits of padding to send right now, while the next better choice takes `wanted` bits:
        more than the estimate, else there is none. Call often, `elapsed` seconds apart."""
        if not self.estimate or now < self._grows_at:
            return 0
        if wanted <= self.estimate:
            if self._media_rate >= USED * self.estimate:
                self.forgive(now)
            return 0
        if self.rate >= USED * self.estimate:
            if not self._is_growing(now):
                self._grown_from = self.estimate
            share = self.estimate / self._ceiling
            growth = next((growth for most, growth in GROWTH if share < most), FAST)
            self.estimate = min(wanted, int(self.estimate * growth**elapsed) + 1)
            self._grown_at = now
        return max(0, int(self.estimate - self._media_rate))

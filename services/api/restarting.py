"""What a restart asks of the api: keep the new settings, close the sessions, let it begin.

Asked for, it is in the broker. Should this process end then, the next one carries on.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import structlog

from services.conference.commands import CloseSession
from services.conference.errors import ConferenceError
from services.conference.model import Reason, RecordingStatus
from services.eventlog.bus import utc_ms
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.log import CommitRefused, LogUnavailable
from services.eventlog.restarts import Found, Restart, Restarts, Superseded
from services.settings import changes

from .commands import Commands
from .database import DatabaseAway
from .views import Views

CLOSE_SECONDS = 15.0  # for all sessions; those left then find their media gone
RECORDING_SECONDS = 10.0  # for their recordings to be complete, while the old settings hold
AT_ONCE = 16  # sessions closed at the same time
PAUSE = 0.5  # seconds between two looks
FINISHED = (RecordingStatus.READY, RecordingStatus.FAILED)
ACTOR = Actor(ActorKind.TIMER, "restart")

log = structlog.get_logger(__name__)


class KeyUsed(Exception):
    """The key is that of a restart with other settings; nothing was changed."""


class Restarting:
    """`start` once, then `run` in a task group. `secret` is OPENVIDU_SECRET, `environ` that of the
    process."""

    def __init__(
        self,
        restarts: Restarts,
        commands: Commands,
        views: Views,
        secret: str,
        environ: Mapping[str, str],
    ) -> None:
        self._restarts = restarts
        self._commands = commands
        self._views = views
        self._secret = secret
        self._environ = environ
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self.started = utc_ms()
        self.behind = Restart()  # the last one before this process was there

    async def start(self) -> None:
        """Raises `LogUnavailable`."""
        self.behind = (await self._restarts.read()).restart

    async def ask(self, given: Mapping[str, object], key: str | None) -> None:
        """Returns when it is sure that all services restart with these settings.

        Not twice for one `key`. Raises `KeyUsed`, `SettingsError`, `NotKept` or `LogUnavailable`.
        """
        mark = None if key is None else f"{key} {self._digest(given)}"
        async with self._turn:
            last = (await self._restarts.read()).restart  # no broker, no change
            if mark is not None and mark == last.key:
                return
            if key is not None and last.key is not None and last.key.startswith(f"{key} "):
                raise KeyUsed
            values = await asyncio.to_thread(changes.checked, given, self._environ, self._secret)
            await asyncio.to_thread(changes.keep, values, self._environ)
            try:
                await self._restarts.ask(mark)
            except LogUnavailable as error:
                raise LogUnavailable(
                    f"The new settings are kept, but perhaps nothing restarts: {error} Try again."
                ) from error
        log.info("a restart was asked for", changed=sorted(values))
        self._wake.set()

    def _digest(self, given: Mapping[str, object]) -> str:
        """Of settings, secrets among them: it tells nothing to who has only the broker."""
        settings = msgspec.json.encode(given, order="sorted")
        return hmac.digest(self._secret.encode(), settings, "sha256").hex()

    async def run(self) -> None:
        """Carry out what was asked for, here or of another process, until cancelled."""
        while True:
            self._wake.clear()
            try:
                found = await self._restarts.read()
                if found.restart.asked:
                    await self._carry_out(found)
            except LogUnavailable as error:
                log.debug("no news of restarts", why=str(error))
            except Superseded:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await self._wake.wait()

    async def _carry_out(self, found: Found) -> None:
        recordings: set[str] = set()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._close_sessions(recordings)
        except TimeoutError:
            log.warning("some sessions are left open", seconds=CLOSE_SECONDS)
        try:
            async with asyncio.timeout(RECORDING_SECONDS):
                await self._until_complete(recordings)
        except TimeoutError:
            log.warning("recordings are not complete yet", recordings=sorted(recordings))
        await self._restarts.begin(found, utc_ms())

    async def _close_sessions(self, recordings: set[str]) -> None:
        """Until none is open; adds the ids of recordings that end with them."""
        refused: set[str] = set()
        free = asyncio.Semaphore(AT_ONCE)

        async def close(session_id: str) -> None:
            async with free:
                try:
                    command = CloseSession(Reason.OPENVIDU_SERVER_STOPPED)
                    outcome = await self._commands.execute(session_id, command, actor=ACTOR)
                except ConferenceError:  # somebody else has closed it, as is seen soon
                    await asyncio.sleep(PAUSE)
                    return
                except CommitRefused as error:
                    log.warning("session not closed", session=session_id, why=str(error))
                    refused.add(session_id)
                    return
            recordings.update(outcome.after.recordings)

        while ids := set(self._views.open_sessions()) - refused:
            try:
                async with asyncio.TaskGroup() as closing:
                    for session_id in ids:
                        closing.create_task(close(session_id))
            except* LogUnavailable as away:
                log.warning("sessions not closed yet", why=str(away.exceptions[0]))
                await asyncio.sleep(PAUSE)

    async def _until_complete(self, recordings: set[str]) -> None:
        """Takes out of the set what is complete."""
        while recordings:
            for recording_id in sorted(recordings):
                try:
                    recording = await self._views.recording(recording_id)
                except DatabaseAway:
                    break  # it is looked for again
                if recording is None or recording["status"] in FINISHED:
                    recordings.discard(recording_id)
            if recordings:
                await asyncio.sleep(PAUSE)

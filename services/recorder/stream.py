"""One stream into one file: a tap at the media node, a socket, a writer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from services.conference.calls import Tap, Untap
from services.eventlog.bus import utc_ms

from .archive import MediaFile, complete, next_file, write_note
from .frames import Unsupported
from .plan import StreamPlan
from .reception import Reception
from .store import explain
from .taps import TapFailed, Taps
from .webm import Sample, VideoFormat, WebmWriter

LEASE = 4.0  # seconds between two taps; the media node gives up after ten
RETRY = 0.5
KEY_FRAME_RETRY = 1.0  # doubled up to LEASE while none comes
SPACING = 0.25  # never ask more often
TICK = 0.2
WRITE_INTERVAL = 1.0  # about what a killed recorder loses
RECEIVE_BUFFER = 1024 * 1024  # bytes of the socket

log = structlog.get_logger(__name__)


class StreamRecorder:
    """`on_progress` is called when one of the properties changed."""

    def __init__(
        self,
        plan: StreamPlan,
        *,
        recording_id: str,
        folder: Path,
        taps: Taps,
        host: str,
        on_progress: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.created = False  # the file has a name and the socket is open
        self.done = False
        self.error: str | None = None
        self.disk_error = False
        self._folder = folder
        self._recording_id = recording_id
        self._taps = taps
        self._host = host
        self._on_progress = on_progress
        self._reception = Reception(audio=plan.audio, video=plan.video)
        self._writer: WebmWriter | None = None
        self._described = False
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._flowing = False
        self._log = log.bind(recording=recording_id, stream=plan.stream_id)

    @property
    def has_file(self) -> bool:
        """There is media of some track, and a file that holds it."""
        return self._writer is not None

    @property
    def flowing(self) -> bool:
        """There is media of every track that was to be expected."""
        return self._flowing

    @property
    def stopped(self) -> bool:
        """Somebody asked it to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ask it to finish its file; `run` then ends."""
        self._stopping.set()

    async def run(self) -> None:
        """Record until stopped. An error is kept in `error`; what was recorded stays."""
        try:
            await self._record()
        except* OSError as group:
            self.disk_error = True
            self._fail(group)
        except* Unsupported as group:
            self._fail(group)
        except* Exception as group:
            self._fail(group)
            self._log.exception("stream recorder broke")
        finally:
            self.done = True
            self._on_progress()

    async def _record(self) -> None:
        media = await asyncio.to_thread(self._begin)
        tap_id = f"{self._recording_id}/{media.name}"
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Endpoint(self._reception, self._wake.set), local_addr=(self._host, 0)
            )
        except OSError as error:
            raise Unsupported(f"no socket for it: {error.strerror}") from error
        try:
            host, port = transport.get_extra_info("sockname")[:2]
            self.created = True
            self._on_progress()
            async with asyncio.TaskGroup() as group:
                lease = group.create_task(self._lease(tap_id, host, port))
                await self._write(media)
                lease.cancel()
        finally:
            transport.close()
            try:
                await self._finish(media)
            finally:
                with suppress(TapFailed):
                    await self._taps.untap(
                        self.plan.node_id, Untap(tap_id=tap_id, stream_id=self.plan.stream_id)
                    )

    def _begin(self) -> MediaFile:
        plan = self.plan
        media = MediaFile(
            name=next_file(self._folder, plan.stream_id),
            connection_id=plan.connection_id,
            stream_id=plan.stream_id,
            client_data=plan.client_data,
            server_data=plan.server_data,
            has_audio=plan.audio,
            has_video=plan.video,
        )
        if plan.type_of_video is not None:
            media.type_of_video = plan.type_of_video
        write_note(self._folder, media)
        return media

    async def _lease(self, tap_id: str, host: str, port: int) -> None:
        reception = self._reception
        patience = KEY_FRAME_RETRY
        trouble = ""
        while True:
            tap = Tap(
                tap_id=tap_id,
                stream_id=self.plan.stream_id,
                host=host,
                port=port,
                key_frame=reception.needs_key_frame,
            )
            pause = LEASE
            try:
                reception.tapped(await self._taps.tap(self.plan.node_id, tap))
                trouble = ""
            except TapFailed as error:
                pause = RETRY
                if trouble != str(error):
                    trouble = str(error)
                    self._log.warning("tap failed", reason=trouble)
            else:
                if reception.needs_key_frame:
                    pause, patience = patience, min(2 * patience, LEASE)
                else:
                    patience = KEY_FRAME_RETRY
            self._wake.clear()  # what came before is settled, or waits for the next turn
            await asyncio.sleep(SPACING)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause - SPACING):
                    await self._wake.wait()

    async def _write(self, media: MediaFile) -> None:
        loop = asyncio.get_running_loop()
        reception = self._reception
        waited_for_key_frame = True
        written = loop.time()
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._stopping.wait()
            now = loop.time()
            reception.tick(now)
            if reception.needs_key_frame and not waited_for_key_frame:
                self._wake.set()
            waited_for_key_frame = reception.needs_key_frame
            if reception.started is None:
                written = now
            elif self._writer is None or now - written >= WRITE_INTERVAL:
                await self._put_down(media, now)
                written = now
            self._look_for_flow()
            if reception.failure is not None:
                raise Unsupported(reception.failure)

    async def _put_down(self, media: MediaFile, now: float) -> None:
        """Write what is ready; with the first media the file begins."""
        reception = self._reception
        if self._writer is None:
            assert reception.started is not None  # noqa: S101 - the caller looked
            media.start_time = utc_ms() - round((now - reception.started) * 1000)
            self._writer = await asyncio.to_thread(self._open, media)
            self._on_progress()
        samples = reception.take(now)
        if samples:
            await asyncio.to_thread(self._append, self._writer, samples, reception.video_format)

    async def _finish(self, media: MediaFile) -> None:
        reception = self._reception
        samples = reception.finish()
        if self._writer is None and samples:
            await self._put_down(media, asyncio.get_running_loop().time())
        if self._writer is not None:
            await asyncio.to_thread(
                self._close, self._writer, media, samples, reception.video_format
            )
            self._look_for_flow()

    def _look_for_flow(self) -> None:
        plan = self.plan
        if (
            not self._flowing
            and self._writer is not None
            and self._reception.yields(audio=plan.audio_active, video=plan.video_active)
        ):
            self._flowing = True
            self._on_progress()

    def _fail(self, group: BaseExceptionGroup[Exception]) -> None:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self.error = explain(error) if isinstance(error, Exception) else "cancelled"
        self._log.warning("stream recorder failed", reason=self.error)

    # These block on the disk.

    def _open(self, media: MediaFile) -> WebmWriter:
        write_note(self._folder, media)
        return WebmWriter(self._folder / media.name)

    def _append(self, writer: WebmWriter, samples: list[Sample], video: VideoFormat | None) -> None:
        if video is not None and not self._described:
            writer.describe_video(video)
            self._described = True
        writer.write(samples)

    def _close(
        self,
        writer: WebmWriter,
        media: MediaFile,
        samples: list[Sample],
        video: VideoFormat | None,
    ) -> None:
        try:
            self._append(writer, samples, video)
        finally:
            duration = writer.close()
        complete(self._folder, media, duration)


class _Endpoint(asyncio.DatagramProtocol):
    def __init__(self, reception: Reception, on_puzzle: Callable[[], None]) -> None:
        self._reception = reception
        self._on_puzzle = on_puzzle
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        udp = transport.get_extra_info("socket")
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._reception.datagram(data, self._loop.time())
        if self._reception.puzzled:
            self._on_puzzle()

    def error_received(self, exc: Exception) -> None:
        log.debug("socket error", error=str(exc))

"""The checks of `events.md` section 10 that hold for every history of webhook events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.conference.cdr import Record

KEYS = {
    "sessionCreated": 3,
    "sessionDestroyed": 6,
    "participantJoined": 10,
    "participantLeft": 13,
    "signalSent": 7,
}


def check_order(records: Sequence[Record], vanished: Iterable[str] = ()) -> None:
    """Checks 1 to 5 and 7 on a session's whole history, over all its lives.

    `vanished` are the unique ids of sessions nobody joined that ended silently (4.2).
    """
    _Checker(set(vanished)).check(records)


class _Checker:
    def __init__(self, vanished: set[str]) -> None:
        self._vanished = vanished
        self._open: dict[str, int] = {}  # sessions, by unique id: when they were created
        self._present: dict[tuple[str, str], int] = {}  # participants
        self._media: dict[tuple[str, str, str, str], int] = {}  # media connections
        self._streams: set[tuple[str, str]] = set()  # ever published
        self._recordings: dict[tuple[str, str, int], str] = {}  # status; a deleted id comes again

    def check(self, records: Sequence[Record]) -> None:
        for record in records:
            getattr(self, f"_{record.name}")(record.fields, str(record.fields["uniqueSessionId"]))
            self._count_keys(record)

    def _count_keys(self, record: Record) -> None:
        fields = record.fields
        if record.name.startswith("webrtcConnection"):
            expected = 9 if record.name.endswith("Created") else 12
            expected += 3 if fields["videoEnabled"] else 0
            expected += 1 if fields["connection"] == "INBOUND" else 0
        elif record.name == "recordingStatusChanged":
            composed = fields["outputMode"] != "INDIVIDUAL" and fields["hasVideo"]
            expected = 12 + ("reason" in fields) + (3 if composed else 0)
            expected += ("customLayout" in fields) + ("media_node_id" in fields)
        else:
            expected = KEYS[record.name]
        assert len(fields) == expected, record

    def _sessionCreated(self, fields: dict, session: str) -> None:  # noqa: N802
        assert session not in self._open
        assert session not in self._vanished or not self._present
        self._open[session] = fields["timestamp"]

    def _sessionDestroyed(self, fields: dict, session: str) -> None:  # noqa: N802
        self._ends(fields, self._open.pop(session))
        assert session not in self._vanished
        assert not [key for key in self._present if key[0] == session]
        assert not [key for key in self._media if key[0] == session]
        running = [key for key, status in self._recordings.items() if status == "started"]
        assert not [key for key in running if key[0] == session]

    def _participantJoined(self, fields: dict, session: str) -> None:  # noqa: N802
        assert session in self._open
        assert session not in self._vanished
        key = (session, fields["connectionId"])
        assert key not in self._present
        self._present[key] = fields["timestamp"]

    def _participantLeft(self, fields: dict, session: str) -> None:  # noqa: N802
        connection = fields["connectionId"]
        self._ends(fields, self._present.pop((session, connection)))
        assert not [key for key in self._media if key[:2] == (session, connection)]

    def _webrtcConnectionCreated(self, fields: dict, session: str) -> None:  # noqa: N802
        assert (session, fields["connectionId"]) in self._present
        if fields["connection"] == "OUTBOUND":
            self._streams.add((session, fields["streamId"]))
        else:
            assert (session, fields["streamId"]) in self._streams
            assert (session, fields["receivingFrom"]) in self._present
        key = self._media_key(fields, session)
        assert key not in self._media
        self._media[key] = fields["timestamp"]

    def _webrtcConnectionDestroyed(self, fields: dict, session: str) -> None:  # noqa: N802
        assert (session, fields["connectionId"]) in self._present
        self._ends(fields, self._media.pop(self._media_key(fields, session)))

    def _recordingStatusChanged(self, fields: dict, session: str) -> None:  # noqa: N802
        key = (session, fields["id"], fields["startTime"])
        before, after = self._recordings.get(key, "starting"), fields["status"]
        assert (before, after) in {
            ("starting", "started"),
            ("starting", "stopped"),
            ("starting", "failed"),
            ("started", "stopped"),
            ("started", "failed"),
            ("stopped", "ready"),
            ("stopped", "failed"),
        }
        if session not in self._open:
            assert after in {"ready", "failed"}
        assert ("reason" in fields) == (after in {"stopped", "ready"} or before == "stopped")
        self._recordings[key] = after

    def _signalSent(self, fields: dict, session: str) -> None:  # noqa: N802
        assert fields["to"]
        for connection in [*fields["to"], *filter(None, [fields["from"]])]:
            assert (session, connection) in self._present

    @staticmethod
    def _media_key(fields: dict, session: str) -> tuple[str, str, str, str]:
        return session, fields["connectionId"], fields["streamId"], fields["connection"]

    @staticmethod
    def _ends(fields: dict, started: int) -> None:
        assert fields["startTime"] == started
        assert fields["duration"] == (fields["timestamp"] - started) // 1000
        assert fields["reason"]

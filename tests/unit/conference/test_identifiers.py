"""Identifiers have the forms of `signaling.md` 2.2."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import pytest
from msgspec.structs import replace

from services.conference import ids
from services.conference.model import MediaOptions, VideoSource

from .scenario import CAMERA, MICROPHONE

FORMS = {
    ids.session_id: r"ses_[A-Z][0-9A-Za-z]{9}",
    ids.connection_id: r"con_[A-Z][0-9A-Za-z]{9}",
    ids.token: r"tok_[A-Z][0-9A-Za-z]{15}",
}


@pytest.mark.parametrize("make", list(FORMS))
def test_ids_have_their_form_and_differ(make: Callable[[Random], str]) -> None:
    rng = Random(7)
    found = [make(rng) for _ in range(500)]
    assert all(re.fullmatch(FORMS[make], one) for one in found)
    assert len(set(found)) == 500


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        (CAMERA, "CAM"),
        (replace(CAMERA, type_of_video=VideoSource.SCREEN), "SCR"),
        (replace(CAMERA, type_of_video=VideoSource.CUSTOM), "CUS"),
        (replace(CAMERA, type_of_video=VideoSource.IPCAM), "IPC"),
        (MICROPHONE, "MIC"),
        (replace(MICROPHONE, type_of_video=VideoSource.CAMERA), "MIC"),
        (MediaOptions(has_audio=True, has_video=True), "MIC"),
    ],
)
def test_a_stream_id_tells_what_is_shown_and_by_whom(media: MediaOptions, kind: str) -> None:
    found = ids.stream_id(Random(7), media, "con_Ud1Rk3GbYu")
    assert re.fullmatch(rf"str_{kind}_[A-Z][0-9A-Za-z]{{3}}_con_Ud1Rk3GbYu", found)


@pytest.mark.parametrize(
    ("recording", "session"), [("a", "a"), ("a~1", "a"), ("a-1~12", "a-1"), ("ses_X~2", "ses_X")]
)
def test_the_session_of_a_recording_is_in_its_id(recording: str, session: str) -> None:
    assert ids.session_of_recording(recording) == session


@pytest.mark.parametrize("text", ["a", "A-1_b", "ses_Qp7LmZx3Kd", "x" * 255])
def test_what_may_name_a_session(text: str) -> None:
    assert ids.SESSION_ID.fullmatch(text)


@pytest.mark.parametrize("text", ["", "a~1", "a b", "a.b", "a/b", "ñ", "a\n", "x" * 256, "*", ">"])
def test_what_may_not_name_a_session(text: str) -> None:
    assert not ids.SESSION_ID.fullmatch(text)


def test_two_lives_of_a_session_have_different_unique_ids() -> None:
    assert ids.unique_session_id("a", 1) == "a_1" != ids.unique_session_id("a", 2)

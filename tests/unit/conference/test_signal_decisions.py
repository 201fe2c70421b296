"""Signals reach whom they name, or nobody."""

from __future__ import annotations

import pytest

from services.conference import events as e
from services.conference.commands import SendSignal
from services.conference.errors import (
    ConnectionNotFound,
    NoParticipants,
    SessionNotFound,
    UnknownReceiver,
)

from .scenario import NOW, allocated, camera, created, given, joined, pending

TRIO = (created(), allocated(), joined("A"), joined("B"), joined("C"), pending("P"))


def test_a_signal_to_nobody_in_particular_reaches_everybody_and_the_sender() -> None:
    given(*TRIO).when(SendSignal(sender="B", type="chat", data="hi")).then(
        e.SignalSent(("A", "B", "C"), NOW, sender="B", type="chat", data="hi")
    )


def test_a_camera_is_somebody() -> None:
    given(created(), allocated(), joined("A"), camera("K")).when(SendSignal()).then(
        e.SignalSent(("A", "K"), NOW)
    )


def test_a_signal_reaches_each_receiver_once_in_the_order_given() -> None:
    given(*TRIO).when(SendSignal(sender="A", to=("C", "B", "C"))).then(
        e.SignalSent(("C", "B"), NOW, sender="A")
    )


def test_a_signal_of_the_server_has_no_sender() -> None:
    given(*TRIO).when(SendSignal(to=("B",), type="MY_TYPE", data="")).then(
        e.SignalSent(("B",), NOW, type="MY_TYPE", data="")
    )


def test_a_signal_changes_nothing_in_the_session() -> None:
    session = given(*TRIO)
    assert session.when(SendSignal(to=("A",))).then(e.SignalSent(("A",), NOW)) is session.state


@pytest.mark.parametrize("to", [("A", "X"), ("P",), ("",)])
def test_one_unknown_receiver_and_nobody_gets_it(to: tuple[str, ...]) -> None:
    given(*TRIO).when(SendSignal(sender="A", to=to)).is_refused(UnknownReceiver)
    given(*TRIO).when(SendSignal(to=to)).is_refused(UnknownReceiver)


@pytest.mark.parametrize("sender", ["P", "X"])
def test_only_who_is_there_signals(sender: str) -> None:
    given(*TRIO).when(SendSignal(sender=sender)).is_refused(ConnectionNotFound)


def test_a_signal_into_an_empty_session_is_refused() -> None:
    session = given(created(), pending("P"))
    session.when(SendSignal()).is_refused(NoParticipants)
    session.when(SendSignal(to=("P",))).is_refused(UnknownReceiver)


def test_without_a_session_there_is_nobody_to_signal() -> None:
    given().when(SendSignal()).is_refused(SessionNotFound)

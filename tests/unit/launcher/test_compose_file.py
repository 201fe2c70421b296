"""compose.yaml fits the code beside it (there is no container engine where tests run)."""

from __future__ import annotations

import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.launcher.serve import SERVICES
from services.settings import Settings
from services.settings.load import load
from services.settings.table import PROPERTIES

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "compose.yaml").read_text()
GIVEN = {
    "OPENVIDU_SECRET": "one_of_my_own",
    "TERTULIA_NATS_TOKEN": "a_token",
    "DOMAIN_OR_PUBLIC_IP": "192.0.2.1",
}


def substituted(value: str) -> str:
    """`${NAME:-default}` and `${NAME:?message}`, innermost first, as Compose does it."""
    pattern = re.compile(r"\$\{([A-Z_0-9]+):(-|\?)([^${}]*)\}")
    while match := pattern.search(value):
        given = GIVEN.get(match[1], match[3] if match[2] == "-" else None)
        assert given is not None, match[0]
        value = value[: match.start()] + given + value[match.end() :]
    return value


def settings_of(compose: dict[str, Any], service: str) -> Settings:
    environment = compose["services"][service]["environment"]
    return load({**GIVEN, **{key: substituted(value) for key, value in environment.items()}})


@pytest.fixture
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(TEXT)
    return content


def test_it_runs_the_same_services_as_the_launcher(compose: dict[str, Any]) -> None:
    ours = {name for name, it in compose["services"].items() if it["image"] == "tertulia"}
    assert ours == set(SERVICES)
    for name in ours:
        module = compose["services"][name]["command"][-1]
        assert module == f"services.{name}"
        assert find_spec(f"{module}.__main__")


def test_it_uses_known_settings_only(compose: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{([A-Z_0-9]+)", TEXT))
    for name in SERVICES:
        used |= compose["services"][name]["environment"].keys()
    assert used <= PROPERTIES.keys()


@pytest.mark.parametrize("service", SERVICES)
def test_the_settings_of_each_service_are_valid(compose: dict[str, Any], service: str) -> None:
    settings = settings_of(compose, service)
    assert settings.storage.nats_url == "nats://nats:4222"
    assert settings.recording.path == Path("/data/recordings")
    assert settings.access.public_url == "https://192.0.2.1:4443"  # all speak of the same


def test_the_published_ports_are_those_that_services_listen_on(compose: dict[str, Any]) -> None:
    access, media = settings_of(compose, "api").access, settings_of(compose, "media").media
    published = [*map(substituted, compose["services"]["api"]["ports"])]
    assert published == [f"{access.https_port}:{access.listen_port}"]
    assert access.listen_host == "0.0.0.0"
    published = [*map(substituted, compose["services"]["media"]["ports"])]
    assert published == [f"{media.port}:{media.port}/udp"]
    assert media.port_max == media.port
    assert (media.host, media.public_ip) == ("0.0.0.0", "192.0.2.1")


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        (None, ["192.0.2.1"]),
        ("198.51.100.7", ["198.51.100.7"]),
        ("198.51.100.7, 2001:db8::7", ["198.51.100.7", "2001:db8::7"]),
    ],
)
def test_coturn_may_reach_every_address_of_the_media_node(
    compose: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: Any,
    allowed: Any,
) -> None:
    if given:
        monkeypatch.setitem(GIVEN, "TERTULIA_MEDIA_PUBLIC_IP", given)
    stand_in = tmp_path / "turnserver"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    coturn = compose["services"]["coturn"]
    words = [word.replace("$$", "$") for word in coturn["entrypoint"]]
    words += [substituted(word) for word in coturn["command"]]
    environment = {key: substituted(value) for key, value in coturn["environment"].items()}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run(
        words, env={**environment, "PATH": path}, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert told[-len(allowed) :] == [f"--allowed-peer-ip={address}" for address in allowed]
    assert told[: -len(allowed)] == words[len(coturn["entrypoint"]) :]


def test_a_missing_secret_stops_it_before_anything_runs() -> None:
    for name in ("OPENVIDU_SECRET", "TERTULIA_NATS_TOKEN"):
        assert f"{name}: ${{{name}:?" in TEXT
        assert f"${{{name}:-" not in TEXT


def test_images_of_others_have_a_version(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name not in SERVICES:
            assert re.search(r":\d+\.\d+\.\d+", service["image"]), service["image"]


def test_what_the_image_is_built_from_is_not_ignored() -> None:
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    stage = (ROOT / "Dockerfile").read_text().partition("COPY --from")[0]
    copied = {
        source
        for line in re.findall(r"^COPY (.+)$", stage, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == set(allowed)
    assert all((ROOT / name).exists() for name in copied)

"""What must hold between settings that are right each for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from .kinds import is_loopback, is_unspecified

DEFAULT_SECRET = "MY_SECRET"  # noqa: S105


class _Finding(NamedTuple):
    name: str
    message: str


def check(values: Mapping[str, Any]) -> list[_Finding]:
    """Property and message for all that do not go together. Rules about missing values hold."""
    findings = []
    for rule in _RULES:
        try:
            findings += list(rule(values))
        except KeyError:
            continue  # a value that the rule needs is wrong by itself
    return findings


def _secret(values: Mapping[str, Any]) -> Iterator[_Finding]:
    if values["OPENVIDU_SECRET"] != DEFAULT_SECRET:
        return
    for name in ("TERTULIA_HOST", "TERTULIA_MEDIA_HOST"):
        if not is_loopback(values[name]):
            yield _Finding(
                "OPENVIDU_SECRET",
                f"everybody knows the default, and {name}={values[name]} can be reached from "
                "other machines; set a secret of your own or keep to 127.0.0.1",
            )


def _tls(values: Mapping[str, Any]) -> Iterator[_Finding]:
    names = ("TERTULIA_TLS_CERTIFICATE", "TERTULIA_TLS_KEY")
    for name, other in (names, names[::-1]):
        if values[name] and not values[other]:
            yield _Finding(other, f"it is missing, and {name} is set; accepts the path of a file")


def _webhook(values: Mapping[str, Any]) -> Iterator[_Finding]:
    if values["OPENVIDU_WEBHOOK"] and not values["OPENVIDU_WEBHOOK_ENDPOINT"]:
        yield _Finding(
            "OPENVIDU_WEBHOOK_ENDPOINT",
            "OPENVIDU_WEBHOOK is true and needs it; accepts a URL that begins with http:// or "
            "https://",
        )


def _certificate(values: Mapping[str, Any]) -> Iterator[_Finding]:
    if values["CERTIFICATE_TYPE"] == "letsencrypt" and not values["LETSENCRYPT_EMAIL"]:
        yield _Finding("LETSENCRYPT_EMAIL", "CERTIFICATE_TYPE=letsencrypt needs it")


def _media_address(values: Mapping[str, Any]) -> Iterator[_Finding]:
    host = values["TERTULIA_MEDIA_HOST"]
    if is_unspecified(host) and not values["TERTULIA_MEDIA_PUBLIC_IP"]:
        yield _Finding(
            "TERTULIA_MEDIA_PUBLIC_IP",
            f"TERTULIA_MEDIA_HOST={host} is no address that clients could send to; accepts "
            "the IP addresses at which they reach the media node",
        )
    for address in values["TERTULIA_MEDIA_PUBLIC_IP"].split(","):
        if address and ip_address(address.strip()).is_unspecified:
            yield _Finding(
                "TERTULIA_MEDIA_PUBLIC_IP",
                f"{address} is no address that clients could send to; accepts IP addresses with "
                "commas between, or empty",
            )


def _media_ports(values: Mapping[str, Any]) -> Iterator[_Finding]:
    first, last = values["TERTULIA_MEDIA_PORT"], values["TERTULIA_MEDIA_PORT_MAX"]
    if first > last:
        yield _Finding("TERTULIA_MEDIA_PORT_MAX", f"it is below TERTULIA_MEDIA_PORT={first}")


def _autoscaling(values: Mapping[str, Any]) -> Iterator[_Finding]:
    prefix = "OPENVIDU_PRO_CLUSTER_AUTOSCALING"
    if not values[prefix]:
        return
    if values[f"{prefix}_MAX_NODES"] < values[f"{prefix}_MIN_NODES"]:
        yield _Finding(f"{prefix}_MAX_NODES", f"it is below {prefix}_MIN_NODES")
    if values[f"{prefix}_MAX_LOAD"] <= values[f"{prefix}_MIN_LOAD"]:
        yield _Finding(f"{prefix}_MAX_LOAD", f"it is not above {prefix}_MIN_LOAD")


def _s3(values: Mapping[str, Any]) -> Iterator[_Finding]:
    if (
        values["OPENVIDU_PRO_RECORDING_STORAGE"] == "s3"
        and not values["OPENVIDU_PRO_AWS_S3_BUCKET"]
    ):
        yield _Finding("OPENVIDU_PRO_AWS_S3_BUCKET", "OPENVIDU_PRO_RECORDING_STORAGE=s3 needs it")


def _speech(values: Mapping[str, Any]) -> Iterator[_Finding]:
    needed = {
        "azure": (
            "OPENVIDU_PRO_SPEECH_TO_TEXT_AZURE_KEY",
            "OPENVIDU_PRO_SPEECH_TO_TEXT_AZURE_REGION",
        ),
        "aws": (
            "OPENVIDU_PRO_AWS_ACCESS_KEY",
            "OPENVIDU_PRO_AWS_SECRET_KEY",
            "OPENVIDU_PRO_AWS_REGION",
        ),
    }
    engine = values["OPENVIDU_PRO_SPEECH_TO_TEXT"]
    for name in needed.get(engine, ()):
        if not values[name]:
            yield _Finding(name, f"OPENVIDU_PRO_SPEECH_TO_TEXT={engine} needs it")


_RULES = (
    _secret,
    _tls,
    _webhook,
    _certificate,
    _media_address,
    _media_ports,
    _autoscaling,
    _s3,
    _speech,
)

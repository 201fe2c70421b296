"""The certificate of the API, when it is served over TLS."""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from services.settings import Settings

VALID = timedelta(days=3650)
RENEW = timedelta(days=30)  # before its end


class Files(NamedTuple):
    certificate: Path
    key: Path


def certificate_files(settings: Settings) -> Files:
    """The given certificate, else a self-signed one kept in the data folder."""
    access = settings.access
    if access.tls_certificate and access.tls_key:
        return Files(access.tls_certificate, access.tls_key)
    folder = settings.storage.data_dir / "tls"
    files = Files(folder / "certificate.pem", folder / "key.pem")
    if not _usable(files, access.domain):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(files, access.domain)
    return files


def _usable(files: Files, domain: str) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = load_pem_private_key(files.key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return False
    if certificate.public_key() != key.public_key():
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ends_late = certificate.not_valid_after_utc > datetime.now(UTC) + RENEW
    return ends_late and _name(domain) in list(names)


def _make(files: Files, domain: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tertulia, self-signed")])
    names = dict.fromkeys(_name(host) for host in (domain, "localhost", "127.0.0.1", "::1"))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(files.key, pem, 0o600)
    _write(files.certificate, certificate.public_bytes(Encoding.PEM), 0o644)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)

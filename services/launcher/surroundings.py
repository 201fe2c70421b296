"""What the services are started with."""

from __future__ import annotations

import os
from collections.abc import Mapping

import structlog

from services import process
from services.logs import Masker
from services.settings import Settings
from services.settings.load import SettingsError, confirmed, from_environment, merged

from .data_folder import DataFolder

_logger = structlog.get_logger(__name__)


class Surroundings:
    """The environment of all services, with the settings that the `.env` file had at the start or
    at the last restart. So a service that died comes back as the one it was."""

    _environ: dict[str, str]

    def __init__(
        self, settings: Settings, folder: DataFolder, broker_url: str, broker_token: str
    ) -> None:
        self._folder = folder
        self._broker_url = broker_url
        self._broker_token = broker_token
        self._take(settings)

    def environ(self) -> Mapping[str, str]:
        return self._environ

    def mask(self, text: str) -> str:
        """Takes the secrets of the settings out of a line of a service."""
        return self._masker.text(text)

    def renew(self) -> None:
        """Read the `.env` file again. If it is wrong by now, all stays as it is."""
        try:
            settings = from_environment(os.environ)
        except SettingsError as error:
            _logger.error("the old settings stay", why=str(error))
            self._environ = confirmed(self._environ)
            return
        if settings != self._settings:  # a restart ends several services
            process.tell_about(settings)
        self._take(settings)

    def _take(self, settings: Settings) -> None:
        self._settings = settings
        self._masker = Masker(settings.secrets | {self._broker_token})
        environ = merged(os.environ)
        if not environ.get("OPENVIDU_PRO_CLUSTER_ID"):
            environ["OPENVIDU_PRO_CLUSTER_ID"] = self._folder.cluster_id()
        self._environ = {
            **environ,
            "TERTULIA_DATA_DIR": str(self._folder.path),
            "TERTULIA_NATS_URL": self._broker_url,
            "TERTULIA_NATS_TOKEN": self._broker_token,
            "PYTHONUNBUFFERED": "1",
        }

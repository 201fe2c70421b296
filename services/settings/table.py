"""All settings. Defaults that follow from others follow from those before them here."""

from __future__ import annotations

from .community import COMMUNITY
from .deployment import DEPLOYMENT
from .enterprise import ENTERPRISE
from .own import OWN
from .pro import PRO
from .property import Property

CONTRACT = COMMUNITY + PRO + ENTERPRISE + DEPLOYMENT
PROPERTIES: dict[str, Property] = {item.name: item for item in CONTRACT + OWN}

MEDIA_SERVER_PREFIX = "KMS_DOCKER_ENV_"
"""`KMS_DOCKER_ENV_<NAME>`: any number of texts for the environment of the media server."""

"""The browser of the end-to-end tests and the media node of the integration tests."""

from tests.e2e.conftest import browser, folder, pages
from tests.integration.media.conftest import node, pump, stage

__all__ = ["browser", "folder", "node", "pages", "pump", "stage"]

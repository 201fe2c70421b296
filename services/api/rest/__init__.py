"""The REST API (`rest-api.md`): thin handlers that parse, send a command and render."""

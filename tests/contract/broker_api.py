"""The JetStream API, asked without a client's help."""

from __future__ import annotations

import msgspec


async def api(client, name, request):
    answer = await client.request(f"$JS.API.{name}", msgspec.json.encode(request), timeout=5)
    decoded = msgspec.json.decode(answer.data)
    assert "error" not in decoded, decoded
    return decoded

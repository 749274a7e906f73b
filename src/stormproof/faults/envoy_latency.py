"""Latency with jitter in front of a dependency, as Envoy's extension config discovery reads it from a file.

Envoy's fault filter delays by a fixed time, or by what a request's own header says. A few lines of Lua in front of it
draw that header anew for every request; this module makes the document that holds them, out of numbers.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

LUA_TYPE = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
_TYPED_EXTENSION_TYPE = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
# The fault filter's own header (`HTTPFault.delay.header_delay`), in ms.
_HEADER = "x-envoy-fault-delay-request"

# A caller must not be able to slow itself down: whatever it says in that header is taken off.
_PRISTINE = f"""\
function envoy_on_request(handle)
  handle:headers():remove("{_HEADER}")
end
"""
_DRAWN = """\
math.randomseed({seed})
function envoy_on_request(handle)
  handle:headers():remove("{header}")
  if math.random() < {share:.6f} then
    local delay_ms = {delay_ms} + (2 * math.random() - 1) * {jitter_ms}
    handle:headers():add("{header}", string.format("%d", math.floor(delay_ms + 0.5)))
  end
end
"""


def no_latency(name: str) -> dict[str, Any]:
    """The whole discovery document of the filter called *name* while nobody is slowed down."""
    return _resource(name, _PRISTINE)


def drawn_latency(name: str, *, delay_ms: int, jitter_ms: int, share: float, seed: int) -> dict[str, Any]:
    """The discovery document that slows *share* (0…1) of the requests down.

    Each of them waits for a time of its own, uniform between ``delay_ms - jitter_ms`` and ``delay_ms + jitter_ms``.
    The generator is LuaJIT's, seeded with *seed*: the same sequence of requests waits the same times again.
    Raises `ValueError` for a delay that could become less than 1 ms, or a share outside 0…1.
    """
    if not 0 <= jitter_ms < delay_ms:
        raise ValueError(f"jitter_ms: expected 0 … {delay_ms - 1} (less than the delay), got {jitter_ms!r}")
    if not 0 < share <= 1:
        raise ValueError(f"share: expected more than 0 and at most 1, got {share!r}")
    code = _DRAWN.format(seed=int(seed), header=_HEADER, share=share, delay_ms=int(delay_ms), jitter_ms=int(jitter_ms))
    return _resource(name, code)


def _resource(name: str, code: str) -> dict[str, Any]:
    extension = {
        "@type": _TYPED_EXTENSION_TYPE,
        "name": name,
        "typed_config": {"@type": LUA_TYPE, "default_source_code": {"inline_string": code}},
    }
    digest = hashlib.sha256(json.dumps(extension, sort_keys=True).encode()).hexdigest()[:16]
    return {"version_info": digest, "type_url": LUA_TYPE, "resources": [extension]}

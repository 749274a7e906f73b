"""The token bucket in front of a dependency, as Envoy's extension config discovery reads it from a file.

Envoy watches the file's folder and takes a new version over when a rename puts one there (`record.atomic`).
Formulas and field names: `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

LOCAL_RATE_LIMIT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_TYPED_EXTENSION_TYPE = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"

# Envoy refuses a shorter interval; above 20 tokens a second several are therefore filled at once.
FILL_INTERVAL_MIN_S = 0.05


def bucket_resource(name: str, *, rate_per_s: float, burst: int, runtime_key: str) -> dict[str, Any]:
    """The whole discovery document for the bucket of the filter called *name*.

    The bucket starts full with *burst* requests and gains *rate_per_s* a second; a request that finds it empty is
    answered with 429 by the proxy, which the listener turns into the service's own error. The filter looks at the
    bucket only for *runtime_key* percent (0…100, default 0) of the requests. Raises `ValueError` for a rate that
    is not a positive finite number, or a burst below one.
    """
    if not (math.isfinite(rate_per_s) and rate_per_s > 0):
        raise ValueError(f"rate_per_s: expected a positive number, got {rate_per_s!r}")
    if burst < 1:
        raise ValueError(f"burst: expected at least 1, got {burst!r}")
    tokens_per_fill = max(1, math.ceil(rate_per_s * FILL_INTERVAL_MIN_S))
    fill_interval_s = tokens_per_fill / rate_per_s
    extension = {
        "@type": _TYPED_EXTENSION_TYPE,
        "name": name,
        "typed_config": {
            "@type": LOCAL_RATE_LIMIT_TYPE,
            "stat_prefix": name.replace(".", "_"),
            "token_bucket": {
                "max_tokens": max(burst, tokens_per_fill),
                "tokens_per_fill": tokens_per_fill,
                "fill_interval": f"{fill_interval_s:.9f}s",
            },
            "filter_enabled": {"runtime_key": runtime_key, "default_value": _percent(0)},
            # Without this the filter only counts what it would have refused.
            "filter_enforced": {"runtime_key": f"{runtime_key}.enforced", "default_value": _percent(100)},
        },
    }
    # The version is the content's digest: equal buckets are equal files, so that "pristine" can be compared.
    digest = hashlib.sha256(json.dumps(extension, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "version_info": digest,
        "type_url": LOCAL_RATE_LIMIT_TYPE,
        "resources": [extension],
    }


def _percent(numerator: int) -> dict[str, Any]:
    return {"numerator": numerator, "denominator": "HUNDRED"}

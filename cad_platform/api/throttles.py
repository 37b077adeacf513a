"""So many requests a minute for each token, person or, where nobody is known, address; counted for all replicas
together.

Two counters in the broker's store, of this period and the last, stand for a sliding window. Where the store is away
each replica counts for itself: a limit is no reason to refuse work.
"""

from __future__ import annotations

import math
import time
from typing import Any

from django.core.cache import BaseCache, caches
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

#: A store that did not answer is not asked again for so long.
_REST_SECONDS = 5.0
_rests_until = 0.0


class CallerThrottle(SimpleRateThrottle):
    """For every address of the API."""

    scope = "token"
    #: Made by the class above of the scope's rate.
    duration: int
    num_requests: int

    def get_cache_key(self, request: Request, view: Any) -> str:
        if request.auth is not None:
            caller = f"token-{request.auth.pk}"
        elif request.user is not None and request.user.is_authenticated:
            caller = f"user-{request.user.pk}"
        else:
            caller = f"address-{request.META.get('REMOTE_ADDR', '')}"
        return self.cache_format % {"scope": self.scope, "ident": caller}

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether the request is within the rate; `wait` then says for how long it is not."""
        if self.rate is None:
            return True
        now = time.time()
        period = int(now // self.duration)
        key = self.get_cache_key(request, view)
        last, this = _count(key, period, self.duration)
        passed = now / self.duration - period
        # What was asked in the last period counts by the share of it that still lies within the window.
        allowed = last * (1 - passed) + this <= self.num_requests
        self._wait = math.ceil(self.duration * (1 - passed))
        return allowed

    def wait(self) -> float:
        """Seconds until the period ends."""
        return float(self._wait)


class ImageThrottle(CallerThrottle):
    """Pixels, thumbnails and tiles."""

    scope = "image"


def _count(key: str, period: int, duration: int) -> tuple[int, int]:
    """Requests of the last period, and of this one with the present."""
    global _rests_until
    if time.monotonic() >= _rests_until:
        try:
            return _counted(caches["shared"], key, period, duration)
        except RedisError:
            _rests_until = time.monotonic() + _REST_SECONDS
    return _counted(caches["default"], key, period, duration)


def _counted(cache: BaseCache, key: str, period: int, duration: int) -> tuple[int, int]:
    now_key, last_key = f"{key}:{period}", f"{key}:{period - 1}"
    known = cache.get_many([now_key, last_key])
    if now_key not in known:
        cache.add(now_key, 0, timeout=2 * duration)
    try:
        this = cache.incr(now_key)
    except ValueError:  # gone in between
        this = 1
    return int(known.get(last_key, 0)), int(this)

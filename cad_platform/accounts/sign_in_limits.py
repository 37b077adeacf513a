"""How often somebody may try a password: by account with a growing delay, and by the address that it comes from.

The counts are rows, so that every replica of the web server knows them. Whoever has signed in from an address before is
counted there by themselves: wrong passwords that others try, from wherever, keep nobody out of their own workplace, and
those tried at one workplace keep no other person of the hospital out (all may come from one address).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from cad_platform.accounts.models import SignInCount

#: So many wrong passwords cost nothing; then there is a pause, twice as long after each further one.
FREE_OF_ACCOUNT = 5
#: Of an address, whatever the names: a whole hospital may come from it.
FREE_OF_ADDRESS = 100
SHORTEST, LONGEST = timedelta(seconds=5), timedelta(minutes=15)
#: Counts are forgotten when no wrong password has come for so long.
ACCOUNT_FORGOTTEN = timedelta(hours=24)
ADDRESS_FORGOTTEN = timedelta(minutes=10)
#: A person's workplace is one they signed in from within this time.
KNOWN_FOR = timedelta(days=30)


@dataclass(frozen=True)
class Attempt:
    """A password that is about to be tried, already counted as wrong."""

    account: str
    address: str | None
    counted: tuple[int, ...]


@dataclass(frozen=True)
class Wait:
    """No password is tried before so long."""

    seconds: int


def begin(username: str, address: str | None) -> Attempt | Wait:
    """Count an attempt before its password is looked at, so that parallel guesses count each other."""
    account, place, now = _account(username), _place(address), timezone.now()
    with transaction.atomic():
        of_account = _own(account, place, now) or _row(account, None)
        rows = [of_account]
        wait = _wait(of_account, FREE_OF_ACCOUNT, ACCOUNT_FORGOTTEN, now)
        if place is not None and of_account.address is None:
            rows.append(of_address := _row("", place))
            wait = max(wait, _wait(of_address, FREE_OF_ADDRESS, ADDRESS_FORGOTTEN, now))
        if wait > 0:
            return Wait(int(wait) + 1)
        for row in rows:
            forgotten = ACCOUNT_FORGOTTEN if row.account else ADDRESS_FORGOTTEN
            is_fresh = row.failed_at is not None and now - row.failed_at < forgotten
            row.failures = row.failures + 1 if is_fresh else 1
            row.failed_at = now
            row.save(update_fields=["failures", "failed_at"])
    return Attempt(account, place, tuple(row.pk for row in rows))


def succeeded(attempt: Attempt) -> None:
    """The password was right: take the count back, and know the person at this address from now on."""
    with transaction.atomic():
        for pk in attempt.counted:
            SignInCount.objects.filter(pk=pk, failures__gt=0).update(failures=F("failures") - 1)
        if attempt.address is not None:
            own = _row(attempt.account, attempt.address)
            own.failures, own.succeeded_at = 0, timezone.now()
            own.save(update_fields=["failures", "succeeded_at"])


def forget(username: str) -> None:
    """Let somebody try again at once; where they are known stays."""
    SignInCount.objects.filter(account=_account(username)).update(failures=0, failed_at=None)


def purge() -> int:
    """Delete the rows that no longer say anything."""
    now = timezone.now()
    is_over = Q(failed_at__isnull=True) | Q(failed_at__lt=now - ACCOUNT_FORGOTTEN)
    is_unknown = Q(succeeded_at__isnull=True) | Q(succeeded_at__lt=now - KNOWN_FOR)
    return SignInCount.objects.filter(is_over & is_unknown).delete()[0]


def _wait(row: SignInCount, free: int, forgotten: timedelta, now: datetime) -> float:
    """Seconds until the next attempt."""
    if row.failed_at is None or now - row.failed_at >= forgotten or row.failures < free:
        return 0
    delay = min(SHORTEST.total_seconds() * 2.0 ** min(row.failures - free, 20), LONGEST.total_seconds())
    return delay - (now - row.failed_at).total_seconds()


def _own(account: str, place: str | None, now: datetime) -> SignInCount | None:
    known = SignInCount.objects.filter(account=account, address=place, succeeded_at__gt=now - KNOWN_FOR)
    return known.select_for_update().first() if place is not None else None


def _row(account: str, address: str | None) -> SignInCount:
    """The row, locked, made where there is none."""
    SignInCount.objects.bulk_create([SignInCount(account=account, address=address)], ignore_conflicts=True)
    return SignInCount.objects.select_for_update().get(account=account, address=address)


def _account(username: str) -> str:
    """What was typed may be a password in the wrong field: it is kept only as a keyed hash."""
    return salted_hmac("sign-in-count", username.strip().lower(), algorithm="sha256").hexdigest()


def _place(address: str | None) -> str | None:
    """The address; of IPv6 the network that one customer has."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False).network_address)
    return str(parsed)

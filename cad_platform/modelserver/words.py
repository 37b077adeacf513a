"""What is said of hosts, in the reader's language. Processes write English, into rows, logs and audit entries."""

from __future__ import annotations

from django.utils.translation import gettext_noop

from cad_platform.core.punctuation import clauses, named
from cad_platform.core.sentences import Sentences

#: How a call fails, as its exception is called or as a host says.
TROUBLES = {
    "ConnectError": gettext_noop("no connection"),
    "ConnectTimeout": gettext_noop("no connection"),
    "ReadTimeout": gettext_noop("no answer in time"),
    "WriteTimeout": gettext_noop("no answer in time"),
    "PoolTimeout": gettext_noop("no answer in time"),
    "ReadError": gettext_noop("the connection was cut"),
    "WriteError": gettext_noop("the connection was cut"),
    "CloseError": gettext_noop("the connection was cut"),
    "RemoteProtocolError": gettext_noop("the connection was cut"),
}
#: The same, of calls and hosts, in words that are their own message.
OF_CALLS = (
    gettext_noop("status %(status)s"),
    gettext_noop("every host that may have it is resting after failures"),
    gettext_noop("the model server refuses the token"),
    gettext_noop("its certificates cannot be checked (%(kind)s)"),
    gettext_noop("its answer to the known case is wrong"),
    gettext_noop("no model server is known"),
    gettext_noop("every model server is being drained"),
)
_OF_HOSTS = Sentences(
    {
        **TROUBLES,
        "failed": gettext_noop("it failed"),
        "answers its known case wrongly: %(output)s deviates by %(by)s, allowed are %(allowed)s": gettext_noop(
            "it answers its known case wrongly and gets no work: %(output)s deviates by %(by)s, allowed are %(allowed)s"
        ),
        "answers its known case wrongly: %(why)s": gettext_noop(
            "it answers its known case wrongly and gets no work (%(why)s)"
        ),
    },
    also=(
        *OF_CALLS,
        gettext_noop("it is given no new work"),
        gettext_noop("it has not answered yet"),
        gettext_noop("it does not have %(versions)s"),
    ),
)


def host_words(reason: str) -> str:
    """Why a host, or a version on it, is as it is (`states`, `HostedVersion.reason`); empty for none."""
    return clauses(_one(each) for each in reason.split("; ") if each)


def _one(reason: str) -> str:
    said = _OF_HOSTS.words(reason)
    if said is None and ": " in reason:
        # `states` names the version first.
        version, _, why = reason.partition(": ")
        said = named(version, _OF_HOSTS.words(why) or why)
    return said or reason

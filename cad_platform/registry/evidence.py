"""Whether figures show a version to be no worse than the one in use: on the reference set, and at each site.

No worse is: the lower bound of the 95 % interval of its AUC less the other's (DeLong, on the same cases) is at least
−0.01. The latest comparison of each place counts.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from cad_platform.accounts.models import KNOWN_CASES_SITE, Site
from cad_platform.registry.models import Comparison, ModelRoute, ModelVersion
from cad_platform.studies.models import Study

MARGIN = -0.01


def latest(version: ModelVersion, against: ModelVersion, site_id: int | None) -> Comparison | None:
    """The comparison that counts at a place; `site_id` None for the reference set."""
    return Comparison.objects.filter(version=version, against=against, site=site_id).first()


def sites_concerned(version: ModelVersion) -> list[Site]:
    """Where a change of the platform's default changes what is shown: sites with studies of its modality and no default
    of their own."""
    own = ModelRoute.objects.filter(name=version.name, kind=ModelRoute.Kind.DEFAULT).values("site")
    with_studies = Study.objects.filter(modality=version.modality).values("site")
    found = Site.objects.filter(pk__in=with_studies).exclude(pk__in=own).exclude(code=KNOWN_CASES_SITE)
    return list(found.order_by("code"))


def missing(version: ModelVersion, against: ModelVersion, site: Site | None = None) -> list[str]:
    """What is not shown yet, in sentences; empty where the version is no worse.

    Parameters
    ----------
    site
        Where only its studies are concerned; None for all of `sites_concerned`.
    """
    places: list[Site | None] = [None, *([site] if site is not None else sites_concerned(version))]
    return [sentence for place in places if (sentence := _missing_at(version, against, place))]


def _missing_at(version: ModelVersion, against: ModelVersion, place: Site | None) -> str:
    found = latest(version, against, place.pk if place else None)
    said = {
        "place": place.name if place else _("the reference set"), "against": against.version,
        "low": f"{found.low:+.3f}" if found else "", "margin": f"{MARGIN:+.2f}",
    }  # fmt: skip
    if found is None:
        return (
            _("It was not compared with %(against)s on %(place)s.") % said
            if place is None
            else (_("It was not compared with %(against)s on known cases of %(place)s.") % said)
        )
    if not found.low >= MARGIN:
        return (
            _(
                "It is not shown to be as good as %(against)s on %(place)s: its AUC may be lower by %(low)s, and the "
                "limit is %(margin)s."
            )
            % said
        )
    return ""

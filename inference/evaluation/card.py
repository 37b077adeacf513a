"""The model card in Markdown, written from what was measured and what the run said of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inference.contract import OPERATING_POINTS
from inference.evaluation.account import Account
from inference.evaluation.figures import Figure
from inference.evaluation.plots import PLOTS, Plot
from inference.evaluation.protocol import protocol_of
from inference.evaluation.records import AWAY, LEFT_OUT
from inference.evaluation.results import Results, share_flagged
from inference.runtime.whole_image.pipeline import OUTLINE_LEVEL, only_outlines

CARD = "card.md"
_SPLIT_WORDS = {
    "oof": "pooled out-of-fold predictions (`oof`)",
    "val": "published `val` part (`val`)",
    "external": "never seen in training (`external`)",
    "left_out_collection": "by a network that learned from the other collections alone (`left_out_collection`)",
    "left_out_scanner": "each scanner by a network that has seen nothing of it (`left_out_scanner`)",
}
#: Names of the lines that say what a reader's own category does on the same images.
_READER = "reader_"
_NO_EXTERNAL = (
    "**No external figure.** The model was measured on no set but those that it was made from; how it reads images of "
    "another hospital, population or scanner is not known. `python -m inference acceptance {name}` measures it on "
    "50 to 500 known cases of one's own."
)
_LEFT_OUT = (
    "Networks of the same recipe, each of which has seen nothing of what it is measured on: of a whole collection "
    "(another country, other scanners, other readers), or of one scanner. Thresholds and calibration are their own, "
    "fitted on what they were allowed to see. The nearest to what another hospital may expect."
)
_NOT_SERVED = (
    "The served weights themselves have seen all sets that are on record: "
    "`python -m inference acceptance {name}` measures them on 50 to 500 known cases of one's own."
)
_EXTERNAL = (
    "Measured with the served weights and thresholds on sets of which training, calibration and thresholds have seen "
    "nothing: the nearest to what another hospital may expect."
)
#: Not sets of their own: a slide of one of them, read whole.
_PARTS_OF_SETS = ("idc_mosaic",)
_READERS = (
    "What a radiologist's BI-RADS category of the same images says alone, without the model (a model below it "
    "has nothing to add by itself)."
)
_INTERVALS = (
    "Intervals are 95 %: percentile bootstraps of 1,000 draws over groups (patients, or near-duplicates "
    "where no patients are known), drawn within the classes so that none vanishes; those marked ʷ are "
    "Wilson's, for shares of fewer than 30 images and for all or none."
)
_REFITTED = (
    "**The served weights were fitted again on train and val together, after everything was chosen. None of the "
    "internal figures was measured on them: all come from predictions made before, by networks that had not seen "
    "the image that they judge. These predictions are kept beside the weights in `predictions.csv`.**"
)
_BY_FOLDS = (
    "**The figures marked `oof` were measured on the networks of the folds, each on the fold that it had not "
    "seen, not on the served weights.**"
)


def card_text(
    results: Results, account: Account, drawn: Sequence[Plot], explanation: Mapping[str, Any] | None,
    latency: Mapping[str, Any] | None, robustness: Mapping[str, Any] | None = None,
) -> str:  # fmt: skip
    """The whole card. `explanation`, `latency` and `robustness`: what those checks left beside the weights, or
    None."""
    manifest = results.manifest
    sections: list[tuple[str, Sequence[str]]] = [
        ("External figures", tuple(_external(results))),
        ("Internal figures", tuple(_internal(results))),
        ("The reader's own level", tuple(_readers_level(results))),
        ("Intended use", (manifest.intended_use,)),
        ("Data and licence", (account.data, "", f"{manifest.licence}.")),
        ("Method", (account.method, "", *_made(results, account))),
        ("Protocol", tuple(_protocol(results, account))),
        ("Operating points", tuple(_points(results))),
        ("Subgroups", tuple(_subgroups(results))),
        ("Plots", [f"- [{plot.title}]({PLOTS}/{plot.file})" for plot in drawn]),
        ("Explanation checks", tuple(_explained(explanation, manifest.weights.sha256))),
        ("Other stains and scanners", tuple(_robust(robustness, manifest.weights.sha256))),
        ("Latency", tuple(_as_table(latency, "Not measured in this run."))),
        ("Limits", [f"- {limit}" for limit in account.limits]),
    ]
    lines = [f"# {manifest.title}", "", f"`{manifest.name}` {manifest.version}", ""]
    for title, body in sections:
        if body:
            lines += [f"## {title}", "", *body, ""]
    lines += [
        f"`python -m inference evaluate {manifest.name}` prints these figures again from the predictions of "
        "record, `--rerun` measures the served weights on images that they have not seen.",
        "",
    ]
    return "\n".join(lines)


def _robust(measured: Mapping[str, Any] | None, weights: str) -> Iterator[str]:
    """Nothing where it was not measured: of films and frames there is no such simulation."""
    if measured is None:
        return
    if measured["weights_sha256"] != weights:
        yield "The measurement beside these weights is of others: not shown."
        return
    yield (
        f"**Robustness index {measured['index']:.3f}**, mean over {len(measured['scanners'])} simulated scanners "
        f"({measured['fields']} held-out fields of {measured['patients']} patients, as many of each class): 1 where "
        "tissue alone decides what looks alike to the network, 0.5 where the scanner counts as much (after PathoROB). "
        f"Lowest AUC: {measured['worst']}."
    )
    yield ""
    yield from _table(
        ("scanner", "how it differs", "index", "95 % interval", "AUC", "as stored", "calls that change"),
        [
            (
                each["scanner"], each["words"], f"**{each['index']:.3f}**", f"{each['low']:.3f}–{each['high']:.3f}",
                f"{each['auc']:.3f}", f"{each['auc_stored']:.3f}", f"{each['changed']:.1%}",
            )
            for each in measured["scanners"]
        ],
    )  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    whole = (head, ["---"] * len(head), *rows)
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in whole]


def _interval(figure: Figure) -> str:
    return f"{figure.low:.3f}–{figure.high:.3f}{'ʷ' if figure.interval == 'wilson' else ''}"


def _made(results: Results, account: Account) -> list[str]:
    manifest = results.manifest
    rows = [
        ("parameters", f"{manifest.parameters:,} ({manifest.parameters / 1e6:.1f} M)"),
        ("weights", f"`{manifest.weights.file}`, SHA-256 `{manifest.weights.sha256[:16]}…`"),
        ("preprocessing", f"SHA-256 `{manifest.preprocessing_sha256[:16]}…`"),
    ]
    if account.recipe_sha256:
        rows.append(("recipe", f"{account.recipe or manifest.name}, SHA-256 `{account.recipe_sha256[:16]}…`"))
    return _table(("what", "value"), [*rows, *account.run.items()])


def _protocol(results: Results, account: Account) -> Iterator[str]:
    yield account.protocol
    yield ""
    if account.refitted:
        yield from (_REFITTED, "")
    elif any(record.split == "oof" for record in results.records):
        yield from (_BY_FOLDS, "")
    yield _INTERVALS


def _external(results: Results) -> Iterator[str]:
    away = [figure for figure in results.figures if figure.split == "external"]
    left_out = [figure for figure in results.figures if figure.split in LEFT_OUT]
    if left_out:
        yield from (_LEFT_OUT, "")
        yield from _tables(results, left_out)
        yield from _beside_home(results, left_out)
        yield ""
    if not away:
        if not left_out:
            yield _NO_EXTERNAL.format(name=results.manifest.name)
        else:
            yield _NOT_SERVED.format(name=results.manifest.name)
        return
    yield from (_EXTERNAL, "")
    yield from _tables(results, away)
    yield from _beside_home(results, away)
    by_name = {f.name: f for f in results.figures if f.split not in AWAY}
    for dataset in dict.fromkeys(figure.dataset for figure in away):
        images = [r for r in results.records if (r.dataset, r.split) == (dataset, "external")]
        if any(results.manifest.positive_class in record.probabilities for record in images):
            yield (
                f"- {share_flagged(images):.1%} of the images of {dataset} were flagged out of distribution: they "
                "count here, the platform gives them no verdict."
            )
    for dataset in dict.fromkeys(figure.dataset for figure in away):
        yield (
            f"- The other way round, trained on {dataset} and tested at home, is **not measured**: no network was "
            f"trained there for it (`python -m inference matrix {results.manifest.name}` names every such pair)."
        )
    measured = {figure.name for figure in away}
    for name, home in by_name.items():
        if name.startswith("auc_") and name not in measured and home.dataset not in _PARTS_OF_SETS:
            yield f"- **Not measured elsewhere**: {home.meaning} ({home.value:.3f} on {home.dataset} {home.split})."


def _beside_home(results: Results, away: Sequence[Figure]) -> Iterator[str]:
    """The leading figures elsewhere beside those at home, of the same set where it was measured there."""
    home = [figure for figure in results.figures if figure.split not in AWAY]
    anywhere = {figure.name: figure for figure in home}
    same_set = {(figure.name, figure.dataset): figure for figure in home}
    led = [name for figure in away for name in protocol_of(figure.dataset, results.manifest).headline]
    for figure in away:
        known = same_set.get((figure.name, figure.dataset), anywhere.get(figure.name))
        if known is not None and figure.name in led:
            where = figure.dataset if figure.split not in LEFT_OUT else f"{figure.dataset} ({figure.split})"
            yield (
                f"- {figure.meaning}: **{figure.value:.3f}** ({_interval(figure)}) on {where}, "
                f"{known.value:.3f} ({_interval(known)}) at home ({known.dataset} {known.split})."
            )


def _internal(results: Results) -> Iterator[str]:
    yield from _tables(results, [figure for figure in results.figures if figure.split not in AWAY])
    if results.spreads:
        yield from _table(
            ("each by itself", "figure", "number", "mean ± sd", "lowest", "median", "highest"),
            [
                (f"{s.over} of {s.dataset}", s.meaning, str(s.number), f"{s.mean:.3f} ± {s.sd:.3f}",
                 f"{s.lowest:.3f}", f"{s.median:.3f}", f"{s.highest:.3f}")
                for s in results.spreads
            ],
        )  # fmt: skip
        yield ""
    yield (
        f"{results.flagged:.1%} of the measured images were flagged out of distribution; they count in every "
        "figure."
    )


def _readers_level(results: Results) -> Iterator[str]:
    levels = [figure for figure in results.figures if figure.name.startswith(_READER)]
    if levels:
        yield from (_READERS, "")
        yield from _tables(results, levels, readers=True)


def _tables(results: Results, figures: Sequence[Figure], *, readers: bool = False) -> Iterator[str]:
    """A table a data set and split; the reader's lines apart from the model's."""
    chosen = [figure for figure in figures if figure.name.startswith(_READER) is readers]
    for dataset, split in dict.fromkeys((entry.dataset, entry.split) for entry in chosen):
        yield f"### {protocol_of(dataset, results.manifest).title}: {_SPLIT_WORDS[split]}"
        yield ""
        own = [f for f in chosen if (f.dataset, f.split) == (dataset, split)]
        yield from _table(
            ("figure", "value", "95 % interval", "images", "groups"),
            [(_meaning(f), f"**{f.value:.3f}**", _interval(f), str(f.images), str(f.groups)) for f in own],
        )
        yield ""


def _meaning(figure: Figure) -> str:
    return figure.meaning if figure.perfect is None else f"{figure.meaning} ({figure.perfect.in_words})"


def _points(results: Results) -> Iterator[str]:
    manifest = results.manifest
    if only_outlines(manifest):
        above = f"{manifest.calibration[OUTLINE_LEVEL]:g}"
        yield f"None is fitted: above a probability of {above} a pixel is outlined, and all three points stand there."
        return
    yield f"On the calibrated probability of `{manifest.positive_class}`; at or above counts as positive."
    if any(OPERATING_POINTS[0] in record.facts for record in results.records):
        yield (
            "The thresholds are the served ones. Out-of-fold images were judged at the thresholds of their own "
            "fold's network, fitted without that fold."
        )
    yield ""
    by_name = {(f.dataset, f.split, f.name): f for f in results.figures}
    rows = []
    for dataset, split in dict.fromkeys((f.dataset, f.split) for f in results.figures):
        for point in OPERATING_POINTS:
            names = (f"sensitivity_{point}", f"specificity_{point}")
            pair = [by_name.get((dataset, split, name)) for name in names]
            if any(pair):
                measured = [f"{f.value:.3f} ({_interval(f)})" if f else "–" for f in pair]
                level = f"{manifest.thresholds[point]:.3f}"
                rows.append((point.replace("_", " "), level, f"{dataset} {split}", *measured))
    yield from _table(("point", "threshold", "measured on", "sensitivity", "specificity"), rows)


def _subgroups(results: Results) -> Iterator[str]:
    for key in dict.fromkeys((row.dataset, row.split, row.table) for row in results.rows):
        own = [row for row in results.rows if (row.dataset, row.split, row.table) == key]
        names = dict.fromkeys((f.name, f.meaning) for row in own for f in row.figures)
        yield f"### {key[0]} {key[1]}, by {key[2]}"
        yield ""
        rows = []
        for row in own:
            measured = {f.name: f for f in row.figures}
            cells = [
                f"{measured[name].value:.3f} ({_interval(measured[name])})" if name in measured else "–"
                for name, _ in names
            ]
            rows.append((row.subgroup, str(row.images), *cells))
        yield from _table(("subgroup", "images", *(meaning for _, meaning in names)), rows)
        yield ""
    if results.rows:
        yield (
            "–: too few images, or one class only. A figure of 1.000 in a small subgroup has no width to draw "
            "from; it is not certain."
        )


def _explained(content: Mapping[str, Any] | None, weights: str) -> Iterator[str]:
    """`explanation.json` as `inference.explain.check.report` writes it."""
    if content is None:
        yield "No explanation checks are on record."
        return
    if content.get("weights_sha256", weights) != weights:
        yield from ("**These checks were made with other weights than those served now.**", "")
    if "protocol" in content:
        yield from (str(content["protocol"]), "")
    rows = [
        (check, str(method).replace("_", " "), f"**{one['value']:.3f}**", f"{one['low']:.3f}–{one['high']:.3f}",
         f"{one['chance']:.3f}", str(one["images"]))
        for check, methods in content.get("checks", {}).items()
        for method, one in methods.items()
    ]  # fmt: skip
    yield from _table(("check", "map", "value", "95 % interval", "chance", "images"), rows)
    yield ""
    for claim, held in content.get("holds", {}).items():
        yield f"- {'Holds' if held else '**Fails**'}: {claim}."


def _as_table(content: Mapping[str, Any] | None, otherwise: str) -> Iterator[str]:
    """A JSON object as one table: nested names joined, `{"value", "low", "high"}` as a figure with its
    interval; sentences below it."""
    if content is None:
        yield otherwise
        return
    rows, sentences = [], []
    for name, value in _flat(content):
        if isinstance(value, str) and " " in value:
            sentences.append(value)
        else:
            rows.append((name, _cell(value)))
    if rows:
        yield from _table(("check", "value"), rows)
    for sentence in sentences:
        yield from ("", sentence)


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        words = f"{before}{str(name).replace('_', ' ')}"
        if isinstance(value, dict) and not {"value", "low", "high"} <= set(value):
            yield from _flat(value, f"{words}: ")
        elif isinstance(value, list) and (len(value) > 8 or any(isinstance(v, dict | list) for v in value)):
            continue  # curves and lists of images stay in the file
        else:
            yield words, value


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        number = f", {value['images']} images" if "images" in value else ""
        return f"**{value['value']:.3f}** ({value['low']:.3f}–{value['high']:.3f}{number})"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)

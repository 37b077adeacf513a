"""A model card's Markdown as HTML that is safe to show: no HTML of its own, no links to scripts, and no images but the
model's own plots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

#: How a card links to a plot that lies beside it.
PLOT = re.compile(r"plots/([a-z0-9_]+)\.svg")

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def card_html(markdown: str, plot_url: Callable[[str], str] | None = None) -> SafeString:
    """The card with its headings two levels down, below the page's own. Links to plots show the plot, from
    `plot_url(name)`; where that is None their plain text. Markup in the text is escaped by the renderer and links are
    limited to harmless schemes, which is why the result may be marked safe."""
    tokens = list(_with_frames(_MARKDOWN.parse(markdown)))
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        if token.children:
            token.children = _with_plots(token.children, plot_url)
    return mark_safe(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S308


def _with_frames(tokens: list[Token]) -> Iterator[Token]:
    """Each table in a frame that scrolls, so that the page does not; it is named by the heading above it, a second one
    below the same heading by its number too."""
    heading, named = "", Counter[str]()
    for before, token in pairwise([Token("", "", 0), *tokens]):
        if before.type == "heading_open":
            heading = token.content
        if token.type == "table_open":
            named[heading] += 1
            name = escape(f"{heading} {named[heading]}" if named[heading] > 1 else heading)
            frame = f'<div class="table-scroll" tabindex="0" role="region" aria-label="{name}">'
            yield Token("html_block", "", 0, content=frame)
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</div>")


def _with_plots(children: list[Token], plot_url: Callable[[str], str] | None) -> list[Token]:
    shown: list[Token] = []
    without_link = False
    for child in children:
        plot = PLOT.fullmatch(str(child.attrGet("href"))) if child.type == "link_open" else None
        if plot is not None and plot_url is None:
            without_link = True
        elif plot is not None and plot_url is not None:
            address = plot_url(plot.group(1))
            child.attrSet("href", address)
            # its caption is the text beside it
            image = Token(
                "image", "img", 0, attrs={"src": address, "alt": "", "loading": "lazy"}, children=[]
            )
            shown += [child, image]
        elif child.type == "link_close" and without_link:
            without_link = False
        else:
            shown.append(child)
    return shown

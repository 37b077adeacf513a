"""A model card's Markdown as HTML that is safe to show: no HTML of its own, no images, no script links."""

from __future__ import annotations

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def card_html(markdown: str) -> SafeString:
    """The card with its headings two levels down, below the page's own. Markup in the text is escaped by the
    renderer and links are limited to harmless schemes, which is why the result may be marked safe."""
    tokens = _MARKDOWN.parse(markdown)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    return mark_safe(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S308

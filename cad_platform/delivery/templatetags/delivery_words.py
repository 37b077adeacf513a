"""Why a message was not taken, in words."""

from django import template

from cad_platform.delivery.wording import error_words

register = template.Library()
register.filter("error_words", error_words)

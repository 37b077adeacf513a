"""Why a job or an attempt gave nothing, in words."""

from django import template

from cad_platform.analysis.reasons import reason_words

register = template.Library()
register.filter("reason_words", reason_words)

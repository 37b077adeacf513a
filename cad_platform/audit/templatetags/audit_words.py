"""The log's codes in words."""

from django import template

from cad_platform.audit import words

register = template.Library()
register.filter("action_words", words.action_words)
register.filter("outcome_words", words.outcome_words)
register.filter("actor_words", words.actor_words)

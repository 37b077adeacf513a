"""Whether a report contradicts itself or its case: the one place that says so, at every save, before the signature
and under its lock, for reports and addenda of every kind. What is missing is no contradiction: `reporting.content`
names it.

`lexicon` and `claims` read what people wrote, in English and Chinese; `case` is what the rules look at, `snapshot`
takes it from the database; `rule` is what a rule is, the modules with `_rules` are the rules; `engine` runs them and
`wording` says what was found.
"""

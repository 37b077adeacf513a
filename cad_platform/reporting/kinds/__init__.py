"""The kinds of report, one file each: the fields that are filled in, in their groups, and how they are printed.

A kind registers itself by its name (`reporting.content.report_kind`); modalities name the kind of their reports.
"""

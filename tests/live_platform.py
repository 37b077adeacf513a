"""Fixtures over the whole running platform; filled in beside the supervisor."""

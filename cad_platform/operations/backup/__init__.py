"""Backups of one copy of the platform, its database and the files that the database names: made, kept, read, restored.

Not in a backup: the state folder's secrets and logs, and the key that backups are encrypted with. A restored copy has
its own secrets.
"""

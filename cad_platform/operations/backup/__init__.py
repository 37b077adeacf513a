"""Backup and restore of one copy of the platform: its database and the files that the database names.

Not in a backup: the state folder's secrets and logs. A restored copy has its own.
"""

"""The embedded defaults: set-up, PostgreSQL, Valkey, TorchServe and the supervisor that keeps them running.

Knows processes and folders, not patients. `bootstrap` runs before the virtual environment exists and
therefore uses the standard library only.
"""

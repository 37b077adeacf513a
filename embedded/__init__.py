"""The embedded defaults: set-up, PostgreSQL, Valkey, TorchServe and the supervisor that keeps them running.

Knows processes and folders, not patients. `bootstrap` and what it imports run before the virtual
environment exists and therefore use the standard library only.
"""

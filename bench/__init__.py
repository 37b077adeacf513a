"""Measurements of the running platform, from outside: `bin/bench NAME`. Imports nothing of the platform."""

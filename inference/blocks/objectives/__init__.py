"""Losses that ask the network themselves, once or several times a step."""

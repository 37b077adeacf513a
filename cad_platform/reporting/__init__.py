"""Structured reports: drafts, signatures, addenda and their PDF."""

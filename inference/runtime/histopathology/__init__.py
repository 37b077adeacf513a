"""Serving of tissue: fields and whole slides, preprocessing and findings."""

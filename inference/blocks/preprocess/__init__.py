"""Preprocessing and segmentation steps that a recipe names: pixels in, pixels of the same kind out."""

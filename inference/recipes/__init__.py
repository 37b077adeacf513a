"""Recipes: one YAML a method over registered blocks, its schema, and the runner that trains and measures it.
The blocks themselves live in `preprocessing/`, `models/` and `training/`."""

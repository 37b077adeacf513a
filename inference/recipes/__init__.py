"""Recipes: one YAML a method over registered blocks (`inference/blocks`), its schema, and the runner that trains and
measures it under the guard against leaks."""

"""Which models and versions exist, what they ask of a study and which version is the default."""

"""The learning loop: who consents to the use of her images for research, and which signed findings of whom a model may
learn from. What a network learns with stands in the laboratory (`inference`); both know each other by a tree of
files."""

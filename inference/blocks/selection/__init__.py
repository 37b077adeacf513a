"""Which features to keep: filters and wrappers, each fitted inside the training fold."""

"""Classifiers over rows of features, one shape for all: `fit(rows, labels, groups)`, `predict_proba`."""

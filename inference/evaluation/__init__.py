"""Figures and their intervals, calibration and operating points, the model card. NumPy and scikit-learn."""

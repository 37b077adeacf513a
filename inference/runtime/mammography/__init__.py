"""Serving of mammograms: preprocessing, and findings from what the network says."""

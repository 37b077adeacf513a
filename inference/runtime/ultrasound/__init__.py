"""Serving of ultrasound frames: preprocessing, and findings from what the network says."""

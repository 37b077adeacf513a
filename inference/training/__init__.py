"""Training: the loop with its checkpoints, the device, and export to ONNX. Nothing here is imported at serving time."""

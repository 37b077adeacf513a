"""Training: augmentation, the loop with its checkpoints, calibration inside the training part, ONNX export,
and one recipe a modality. Nothing here is imported at serving time."""

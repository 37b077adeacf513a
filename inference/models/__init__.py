"""Networks: the EfficientNet-Lite0 backbone, the decoder and one network a modality. PyTorch only; no
files, no training loops."""

"""The laboratory: datasets, training, evaluation, export and serving of the models.

Pure Python, NumPy, ONNX Runtime and PyTorch; imports no Django. The platform imports only
`inference.contract` at import time; everything else is loaded lazily inside a worker.
"""

"""What a hospital serves: from a request to a result, the wire to the model server, TorchServe's handler and its
archives. NumPy, OpenCV and ONNX Runtime; PyTorch is imported only where a network runs on a GPU, never at import."""

"""From a request to a result: the pipelines, the wire between them and the model server, TorchServe's
handler and its archives. No PyTorch is needed to serve on CPU."""

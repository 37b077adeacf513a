"""`model.pt` out of `model.onnx`: a graph becomes a TorchScript program, so that git holds one file of weights.

`convert` is the door; `program` holds the text that grows, `statements` says what each operator becomes, and
`functions` is what the finished program calls. Nothing here knows a model.
"""

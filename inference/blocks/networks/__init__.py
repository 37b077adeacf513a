"""Networks and their parts: backbones, attention, pooling, bags, classifiers, decoders, outlines. PyTorch only.

Every classifier that a recipe names answers with logits and a map of where they come from, out of the same forward
pass (`classifier.ClassifierOutput`).
"""

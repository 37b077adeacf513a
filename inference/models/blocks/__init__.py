"""Parts of networks that recipes name: backbones, attention, pooling, bags, classifiers, outlines.

Whole served networks (the champions) live one folder up. Every classifier here answers with logits and a map
of where they come from, out of the same forward pass (`classifier.ClassifierOutput`).
"""

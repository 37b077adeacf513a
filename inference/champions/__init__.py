"""The served models, one folder each: what is special about its network, how it is trained and built. A name here is
a model's name in the store. Nothing here is imported at serving time."""

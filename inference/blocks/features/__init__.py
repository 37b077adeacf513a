"""Hand-crafted features of the classic path: an image and an outline in, one named row of numbers out."""

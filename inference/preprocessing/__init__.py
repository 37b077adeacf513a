"""From decoded pixels to the uint8 tensor that a network takes, and the way back for outlines and boxes.
NumPy and OpenCV only; training and serving call the same functions."""

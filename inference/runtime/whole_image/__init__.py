"""Plain image classifiers, as recipes train them: the whole image at one size, one answer."""

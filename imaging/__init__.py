"""From bytes to pixels: one reader for DICOM, PNG/JPEG/TIFF/PGM and whole-slide files, and the
phantoms that stand in for patients in the demo and the tests.

Ground floor of both halves (`cad_platform` and `inference`): NumPy, pydicom, Pillow and OpenSlide;
no Django, no PyTorch.
"""

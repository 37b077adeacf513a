"""Synthetic breast images with their truth: what the demo shows and the tests measure where no patient's
image may be. Deterministic by seed; NumPy and SciPy only. They look like the modality, they teach nothing.

    from imaging.phantoms import histology, mammography, ultrasound
    phantom = ultrasound.phantom(seed=1, lesion="malignant")
    ultrasound.write_dicom(phantom, path)
"""

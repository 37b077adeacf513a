"""The champion that outlines and judges lesions in ultrasound frames."""

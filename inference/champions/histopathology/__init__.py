"""The champion that finds carcinoma in fields of tissue, and so in whole slides."""

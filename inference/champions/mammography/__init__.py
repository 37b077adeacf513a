"""The champion that reads mammograms: a network for masses and one for whole films, served as one."""

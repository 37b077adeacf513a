"""The audit of a data set on disk: counts, unreadable files, masks, near-duplicates, labels, licences. It
reads every picture; the importers say what each one is."""

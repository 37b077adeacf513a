"""Importers: from a public data set's own file grammar to typed samples with groups and splits. They read
names, tables and annotations; pixels are read only where an annotation is a picture."""

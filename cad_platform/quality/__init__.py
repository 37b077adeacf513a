"""Watching what the models do: what is measured of each analysis, its figures by the hour, drift, agreement with
readers and pathology, and the alerts that follow. Nothing here changes a case; how who is told stands in `delivery`."""

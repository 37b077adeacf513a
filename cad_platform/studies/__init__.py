"""Studies, series, instances and slides: receiving them, storing their files, giving their pixels."""

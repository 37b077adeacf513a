"""The reading room: worklist, case page, and what the reader decided of each finding."""

"""The worklist, the case page and what readers decide of findings. Reports are written one floor up."""

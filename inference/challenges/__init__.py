"""The review's open challenges as experiments with a report: few labels, other scanners, data that may not leave their
site, missing sources, small computers, several readers. Nothing here makes a model that is served."""

"""Telling other systems what happened: a webhook for each site, with retry, dead letters and a log. No patient data."""

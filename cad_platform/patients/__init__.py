"""Patients as a site knows them, and the review list of contradicting demographics."""

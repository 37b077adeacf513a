"""The clinical platform: patients, studies, analyses, reading, reports and the APIs around them (Django)."""

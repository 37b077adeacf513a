"""Who may act: sites, users with one role each, and the API tokens of hospital systems."""

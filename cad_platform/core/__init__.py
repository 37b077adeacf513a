"""Ground floor: errors and their HTTP answers, the outbox, proofs of life, the base page. No clinical concept lives here."""

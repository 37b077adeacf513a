"""Ground floor: errors and their HTTP answers, the outbox, proofs of life, the base page. Nothing clinical."""

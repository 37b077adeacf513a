"""Ground floor: errors and their HTTP answers, outbox, proofs of life, the base page. Nothing clinical."""

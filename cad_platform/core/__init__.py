"""Ground floor: errors, who is acting, the outbox, triggers; and what floors far apart say the same thing with: what an
app declares of itself, proofs that a component works, the base of JSON answers. Knows no app, and nothing clinical."""

"""Ground floor: errors, who is acting, the outbox, triggers; and what every floor says here because something above
collects it: declarations of an app, proofs that a component works. Knows no app, and nothing clinical."""

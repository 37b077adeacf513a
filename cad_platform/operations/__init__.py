"""Running the platform: probes and readiness, the always-on loops, the database's rights, backup and restore, and
the audit log for administrators. No rules of its own; it asks every app what to keep going."""

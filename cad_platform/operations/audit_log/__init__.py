"""The audit log for administrators: on screen and as CSV. It is written and sealed in `audit`."""

"""The laboratory's commands, `python -m inference …`: one module a command, and `main`, which reads the arguments.
Nothing but commands is here, and nothing imports them."""

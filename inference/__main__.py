"""`python -m inference …`: see `inference.cli`."""

from inference.cli.main import main

raise SystemExit(main())

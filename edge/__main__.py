"""`python -m edge`, which `bin/edge` runs."""

import sys

from edge.main import main

sys.exit(main(sys.argv[1:]))

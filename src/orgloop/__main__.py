"""`python -m orgloop`."""

import sys

from orgloop.cli import main

if __name__ == "__main__":
    sys.exit(main())

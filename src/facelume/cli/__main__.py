"""``python -m facelume.cli``."""

import sys

from facelume.cli import main

if __name__ == "__main__":
    sys.exit(main())

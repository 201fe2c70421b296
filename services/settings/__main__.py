"""`python -m services.settings`: print the example file."""

import sys

from .example import example

sys.stdout.write(example())

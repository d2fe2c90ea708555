"""``python -m controller.cli``: the same as ``macrorail``, whatever the PATH says."""

import sys

from controller.cli import main

sys.exit(main())

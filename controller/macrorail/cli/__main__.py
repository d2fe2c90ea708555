"""``python -m macrorail.cli``: the same as ``macrorail``, whatever the PATH says."""

import sys

from macrorail.cli import main

sys.exit(main())

"""``python -m macrorail.cli``: the same as ``macrorail``, without depending on the PATH."""

import sys

from macrorail.cli import main

sys.exit(main())

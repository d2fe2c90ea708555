"""``python -m macrorail.cli``: the same command as ``macrorail``, independent of the PATH."""

import sys

from macrorail.cli import main

sys.exit(main())

"""python -m fastmlp"""

import sys

from fastmlp.commands.main import main

sys.exit(main())

"""`python -m local.cloud up|run|stop`: see `local.cloud.command`."""

from local.cloud.command import main

raise SystemExit(main())

"""How tests are spread over the processes of pytest-xdist, and the order in which they begin."""

from xdist.scheduler import LoadScopeScheduling

# In the order in which they begin: what takes long in one piece comes first, and small things fill the end.
TIERS = ("chaos", "e2e", "performance", "simulation", "contract", "integration", "local", "unit", "tools")
# Tests that each stand alone are spread one by one. Those that share hosts, which take seconds to start, stay
# together, and so does any other file.
ONE_BY_ONE = ("integration", "simulation")
TOGETHER = ("chaos", "e2e")
HOSTS_OF_THEIR_OWN = ("test_package.py", "test_demo.py", "test_private_network.py")


def tier_of(nodeid: str) -> str:
    """The folder of `tests` that a test is in, by its name ("tests/unit/sas/test_mint.py::test_a[b]")."""
    return nodeid.split("/")[1]


def piece_of(nodeid: str) -> str:
    """What goes to one process as a whole, by the name of a test in it."""
    path = nodeid.partition("::")[0]
    tier = tier_of(nodeid)
    if tier in ONE_BY_ONE:
        return nodeid
    return tier if tier in TOGETHER and not path.endswith(HOSTS_OF_THEIR_OWN) else path


class Spreading(LoadScopeScheduling):
    """Gives each process the next piece; the pieces are in the order of their tests."""

    def __init__(self, config, log) -> None:
        config.option.loadscopereorder = (
            False  # xdist's own order is by the number of tests, not by how long they take
        )
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return piece_of(nodeid)

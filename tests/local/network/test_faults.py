from local.network.faults import Effect, Fault, Faults

LINE = "POST https://management.azure.com/x/regenerateKey?api-version=2026-09-01"


def test_fault_applies_to_a_matching_request() -> None:
    faults = Faults()
    fault = Fault(match="regenerateKey", effect=Effect.RESET)
    faults.add(fault)
    assert faults.match(LINE) is fault


def test_fault_does_not_apply_to_other_requests() -> None:
    faults = Faults()
    faults.add(Fault(match="listKeys", effect=Effect.RESET))
    assert faults.match(LINE) is None


def test_fault_is_used_up_after_its_times() -> None:
    faults = Faults()
    faults.add(Fault(match="regenerateKey", effect=Effect.RESET, times=2))
    assert [faults.match(LINE) is not None for _ in range(3)] == [True, True, False]


def test_fault_without_times_stays() -> None:
    faults = Faults()
    faults.add(Fault(match="regenerateKey", effect=Effect.HANG, times=None))
    assert all(faults.match(LINE) for _ in range(5))


def test_oldest_remaining_fault_applies_first() -> None:
    faults = Faults()
    faults.add(Fault(match="azure", effect=Effect.STATUS, status=500))
    faults.add(Fault(match="azure", effect=Effect.STATUS, status=429))
    assert [fault.status for fault in (faults.match(LINE), faults.match(LINE)) if fault] == [500, 429]


def test_cleared_faults_do_not_match() -> None:
    faults = Faults()
    faults.add(Fault(match="azure", effect=Effect.RESET))
    faults.clear()
    assert faults.match(LINE) is None


def test_hits_are_counted() -> None:
    faults = Faults()
    faults.add(Fault(match="azure", effect=Effect.RESET))
    faults.match(LINE)
    assert faults.all()[0].hits == 1

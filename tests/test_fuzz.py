"""A small round of the fuzzing that is done by hand."""

from tests.fuzz import fuzz


def test_mutated_requests_give_no_fault_of_ours_and_no_key() -> None:
    """Each is answered by something else than a 500, and none holds the key."""
    findings = fuzz(400)
    assert findings.faults == []
    assert {200, 400, 404, 405, 422} <= findings.statuses.keys()

"""A short run of the fuzzer."""

from tests.fuzz import fuzz


def test_mutated_requests_cause_no_500_and_reveal_no_key() -> None:
    """No response is a 500, and none contains the key."""
    findings = fuzz(400)
    assert findings.faults == []
    assert {200, 400, 404, 405, 422} <= findings.statuses.keys()

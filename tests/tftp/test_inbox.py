"""Sources take turns."""

from services.tftp.inbox import Inbox


def test_a_flood_delays_others_by_one_request() -> None:
    inbox: Inbox[str] = Inbox()
    for number in range(1000):
        inbox.add("flood", f"f{number}")
    inbox.add("machine", "m0")
    inbox.add("machine", "m1")
    assert [inbox.take() for _ in range(5)] == ["f0", "m0", "f1", "m1", "f2"]


def test_queues_are_bounded() -> None:
    inbox: Inbox[int] = Inbox(per_source=2, sources=2)
    assert [inbox.add("a", n) for n in range(3)] == [True, True, False]
    assert inbox.add("b", 0)
    assert not inbox.add("c", 0)
    assert [inbox.take() for _ in range(3)] == [0, 0, 1]
    assert not inbox
    assert inbox.add("c", 0)

"""Server-sent events, whole and in pieces."""

import pytest

from bootyard.cli.events import EventParser, ServerEvent

STREAM = (
    b': hello\r\n\r\nretry: 1000\r\n\r\nid: 7\r\nevent: boot\r\ndata: {"a":\r\ndata: 1}\r\n\r\n'
    b"data:x\n\nid: 9\n\nevent: boot\ndata\n\n"
)
EVENTS = [
    ServerEvent(kind="boot", data=b'{"a":\n1}', id="7"),
    ServerEvent(kind="message", data=b"x", id="7"),
    ServerEvent(kind="boot", data=b"", id="9"),
]


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_pieces_of_any_length_give_the_same_events(step: int) -> None:
    parser = EventParser()
    events = [
        event for at in range(0, len(STREAM), step) for event in parser.feed(STREAM[at : at + step])
    ]
    assert events == EVENTS


def test_an_event_that_is_cut_off_is_not_given() -> None:
    assert EventParser().feed(b"id: 1\ndata: x\n") == []


def test_the_id_to_resume_after_stays_until_another_comes() -> None:
    parser = EventParser("3")
    assert parser.feed(b"data: x\n\n")[0].id == "3"
    assert parser.feed(b"id: 4\0\ndata: x\n\n")[0].id == "3"
    assert parser.feed(b"id: 4\ndata: x\n\n")[0].id == "4"

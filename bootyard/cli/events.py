"""Server-sent events (WHATWG HTML §9.2): bytes in, events out. No I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event; `id` is what to resume after."""

    kind: str
    data: bytes
    id: str | None


class EventParser:
    """Collects the bytes of a stream until a blank line ends an event."""

    def __init__(self, last_id: str | None = None) -> None:
        self._rest = b""
        self._kind = ""
        self._data: list[bytes] = []
        self._id = last_id

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take bytes as they arrive and give the events that they complete."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        events = (self._take(line.removesuffix(b"\r")) for line in lines)
        return [event for event in events if event is not None]

    def _take(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._end()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"event":
                self._kind = value.decode(errors="replace")
            case b"data":
                self._data.append(value)
            case b"id" if b"\0" not in value:
                self._id = value.decode(errors="replace")
        return None

    def _end(self) -> ServerEvent | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        if not data:
            return None
        return ServerEvent(kind=kind, data=b"\n".join(data), id=self._id)

"""Netascii (RFC 764, by RFC 1350 §1): LF becomes CR LF, CR becomes CR NUL. Pure."""

from services.tftp.source import BlockSource

_CHUNK = 8192


class NetasciiSource:
    """Translates a source while it is read, block by block and in order.

    Transfers in netascii have no windows: only the newest block is ever read again. How long the
    translation gets is known at its end; until then `size` is what it cannot exceed.
    """

    def __init__(self, source: BlockSource) -> None:
        self._source = source
        self._position = 0
        self._pending = b""
        self._block_start = 0
        self._block = b""
        self.size = 2 * source.size

    def read_at(self, offset: int, size: int) -> bytes:
        """Read the newest block again, or the one behind it."""
        if offset == self._block_start and self._block:
            return self._block[:size]
        if offset != self._block_start + len(self._block):
            raise ValueError("netascii is read in order")
        while len(self._pending) < size and self._position < self._source.size:
            wanted = min(_CHUNK, self._source.size - self._position)
            raw = self._source.read_at(self._position, wanted)
            self._position += len(raw)
            self._pending += raw.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
            if len(raw) < wanted:
                return b""  # shorter than `size` promises: the source has changed
        self._block_start, self._block = offset, self._pending[:size]
        self._pending = self._pending[size:]
        if not self._pending and self._position == self._source.size:
            self.size = offset + len(self._block)
        return self._block

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

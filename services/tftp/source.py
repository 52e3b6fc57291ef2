"""What a transfer reads: content of a known size, in pieces. Pure."""

from typing import Protocol

from services.tftp.packet import Opcode

_DATA = Opcode.DATA.to_bytes(2, "big")


class BlockSource(Protocol):
    """Content of a known size that is read in pieces."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Read; fewer bytes than are there by `size` mean that the content has changed."""

    def close(self) -> None:
        """Let go of the file."""


def read_blocks(source: BlockSource, first: int, count: int, block_size: int) -> list[bytes] | None:
    """Make DATA packets of `count` blocks with one read; None: the content has changed."""
    start = (first - 1) * block_size
    content = source.read_at(start, count * block_size)
    # The size is asked for after reading: netascii learns it there.
    if len(content) != max(0, min(count * block_size, source.size - start)):
        return None
    return [
        _DATA
        + ((first + index) & 0xFFFF).to_bytes(2, "big")
        + content[index * block_size : (index + 1) * block_size]
        for index in range(count)
    ]

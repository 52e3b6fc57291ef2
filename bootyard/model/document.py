"""JSON documents: how the model's values are written and read (msgspec)."""

from ipaddress import IPv4Address
from typing import TypeVar

import msgspec

from bootyard.model.errors import BootyardError
from bootyard.model.mac import MACAddress

T = TypeVar("T")


class DocumentInvalid(BootyardError):
    """Bytes that are not a JSON document of the expected shape."""


def encode(value: object) -> bytes:
    """Write a value as compact JSON."""
    return msgspec.json.encode(value, enc_hook=_plain)


def decode(document: bytes | str | msgspec.Raw, shape: type[T]) -> T:
    """Read a value of `shape`; raises DocumentInvalid, naming the field that is off."""
    try:
        return msgspec.json.decode(document, type=shape, dec_hook=_typed)
    except (msgspec.DecodeError, ValueError) as error:
        raise DocumentInvalid(str(error)) from error


def _plain(value: object) -> object:
    if isinstance(value, MACAddress):
        return str.__str__(value)  # msgspec wants a str that is no subclass of it
    if isinstance(value, IPv4Address):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def _typed(kind: type, value: object) -> object:
    if kind is MACAddress:
        return MACAddress.parse(str(value))
    if kind is IPv4Address:
        return IPv4Address(str(value))
    raise NotImplementedError(f"{kind.__name__} has no JSON form")

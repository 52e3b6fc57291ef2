"""What the service and its workers say to each other."""

import msgspec
import pytest

from services.tftp.messages import (
    LENGTH_BYTES,
    Adopted,
    Counts,
    Degraded,
    Event,
    Fault,
    FromWorker,
    Lost,
    Ready,
    Stop,
    ToWorker,
    frame,
    read_order,
    read_report,
)


@pytest.mark.parametrize("order", [Adopted(b"{}"), Adopted(bytes(1 << 20)), Stop()])
def test_orders_arrive_as_they_were_given(order: ToWorker) -> None:
    framed = frame(order)
    assert int.from_bytes(framed[:LENGTH_BYTES], "big") == len(framed) - LENGTH_BYTES
    assert read_order(framed[LENGTH_BYTES:]) == order


@pytest.mark.parametrize(
    "report",
    [
        Counts((0.0, 1.5, 1e300)),
        Event(b"{}"),
        Lost(3),
        Ready(),
        Degraded("interfaces", "eth9 cannot be served"),
        Degraded("interfaces", None),
        Fault("tftp.request"),
    ],
)
def test_reports_arrive_as_they_were_made(report: FromWorker) -> None:
    assert read_report(frame(report)[LENGTH_BYTES:]) == report


@pytest.mark.parametrize("body", [b"", b"\xc1", frame(Stop())[LENGTH_BYTES:]])
def test_what_is_no_report_is_an_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_report(body)

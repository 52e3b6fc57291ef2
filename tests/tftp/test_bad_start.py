"""A transfer whose first datagrams were lost is no slower for it afterwards."""

import random

from services.tftp.options import Limits, negotiate
from services.tftp.packet import Options
from services.tftp.transfer import ReadTransfer
from tests.tftp.clients import MemorySource, ModelClient, run
from tests.tftp.test_simulation import impaired

CONTENT = random.Random(1).randbytes(50_001)
OPTIONS: Options = (("blksize", "512"), ("windowsize", "16"))


def test_no_transfer_is_left_with_the_longest_timer() -> None:
    """One datagram in five is lost. No window arrives whole, so no round trip is ever measured
    where the OACK was repeated; an interval that was doubled until then must not stay so.

    The limit is simulated time: half of the transfers take a third of a second. `inf` is one that
    was given up before its client had everything.
    """
    times = []
    for seed in range(60):
        rng = random.Random(seed)
        fate = impaired(rng, 0.2, 0.0, 0.0)
        terms = negotiate(OPTIONS, Limits(), len(CONTENT))
        transfer = ReadTransfer(MemorySource(CONTENT), terms, 0.0)
        client = ModelClient(tries=1000, retry_s=4.0)
        run(transfer, client, fate, fate)
        if transfer.peer_proven:  # else nothing of its client ever arrived
            times.append(transfer.last_progress if client.is_done else float("inf"))
    assert max(times) < 15, sorted(times)

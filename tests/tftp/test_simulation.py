"""A transfer under any order of loss, duplication, delay and reordering delivers the same bytes."""

import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootyard.model.events import TransferOutcome
from services.tftp.options import Limits, negotiate
from services.tftp.packet import Options
from services.tftp.transfer import SILENCE_LIMIT, ReadTransfer
from tests.tftp.clients import Fate, MemorySource, ModelClient, run


def pattern(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def make_transfer(content: bytes, block_size: int, window_size: int) -> ReadTransfer:
    options: Options = ()
    if window_size > 1 or block_size != 512:
        options = (("blksize", str(block_size)), ("windowsize", str(window_size)))
    terms = negotiate(options, Limits(block_size=65464), len(content))
    return ReadTransfer(MemorySource(content), terms, 0.0)


def impaired(rng: random.Random, loss: float, duplication: float, jitter: float) -> Fate:
    def fate() -> tuple[float, ...]:
        if rng.random() < loss:
            return ()
        copies = 2 if rng.random() < duplication else 1
        return tuple(0.0005 + rng.random() * jitter for _ in range(copies))

    return fate


class Impairment(NamedTuple):
    """What a network does to datagrams."""

    loss: float
    duplication: float
    jitter: float


impairments = st.builds(
    Impairment,
    loss=st.sampled_from([0.0, 0.05, 0.2, 0.3]),
    duplication=st.sampled_from([0.0, 0.1, 0.5]),
    jitter=st.sampled_from([0.0, 0.001, 0.05, 0.5]),
)


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(0, 40 * 32 + 31),
    window_size=st.sampled_from([1, 2, 4, 16, 32]),
    impairment=impairments,
    every_block=st.booleans(),
)
def test_delivers_the_bytes(
    seed: int, size: int, *, window_size: int, impairment: Impairment, every_block: bool
) -> None:
    rng = random.Random(seed)
    content = pattern(size)
    transfer = make_transfer(content, 32, window_size)
    client = ModelClient(tries=60, retry_s=1.5, acknowledges_every_block=every_block)
    run(transfer, client, impaired(rng, *impairment), impaired(rng, *impairment))
    assert content.startswith(client.received)
    if client.is_done:
        assert bytes(client.received) == content
    elif transfer.peer_proven:
        assert transfer.outcome is not TransferOutcome.COMPLETE or transfer.retransmits > 2


@settings(max_examples=200, deadline=None)
@given(
    fates=st.lists(
        st.lists(st.sampled_from([0.001, 0.02, 0.3]), max_size=2).map(tuple), max_size=200
    ),
    window_size=st.sampled_from([1, 4, 8]),
    size=st.integers(0, 3000),
)
def test_any_schedule_ends_within_its_deadline(
    fates: list[tuple[float, ...]], window_size: int, size: int
) -> None:
    """Hypothesis chooses the fate of each datagram; all behind its list are lost."""
    content = pattern(size)
    transfer = make_transfer(content, 64, window_size)
    client = ModelClient(tries=5)
    schedule = iter(fates)

    def fate() -> tuple[float, ...]:
        return next(schedule, ())

    run(transfer, client, fate, fate)
    assert content.startswith(client.received)
    assert transfer.ended <= transfer.last_progress + SILENCE_LIMIT + 2.1
    if client.is_done:
        assert bytes(client.received) == content


@pytest.mark.parametrize("window_size", [1, 4, 32])
def test_a_clean_network_repeats_nothing(window_size: int) -> None:
    content = pattern(64 * 1000)
    transfer = make_transfer(content, 64, window_size)
    client = ModelClient()
    sent = run(transfer, client, lambda: (0.001,), lambda: (0.001,))
    assert bytes(client.received) == content
    assert transfer.retransmits == 0
    assert sent == 1001 + 1


@pytest.mark.parametrize("window_size", [1, 4, 32])
def test_duplication_is_no_apprentice(window_size: int) -> None:
    """Every datagram arrives twice, for ever: what is sent must not grow with each window."""
    content = pattern(64 * 2000)
    transfer = make_transfer(content, 64, window_size)
    client = ModelClient()
    twice: Fate = lambda: (0.001, 0.00101)  # noqa: E731
    sent = run(transfer, client, twice, twice)
    assert bytes(client.received) == content
    assert sent < 2001 * (1.05 if window_size == 1 else 1.6)


@pytest.mark.parametrize(
    ("loss", "window_size", "limit_s"),
    [(0.01, 4, 0.5), (0.05, 4, 2.0), (0.2, 4, 15.0), (0.01, 1, 2.0), (0.05, 32, 2.0)],
)
def test_loss_costs_little(loss: float, window_size: int, limit_s: float) -> None:
    """1 MB with losses in both directions: dnsmasq takes 15 s at 1 %, more than 40 s at 5 %."""
    content = pattern(1_000_000)
    times = []
    for seed in range(5):
        rng = random.Random(seed)
        fate = impaired(rng, loss, 0.0, 0.0)
        transfer = make_transfer(content, 1468, window_size)
        client = ModelClient(tries=1000)
        run(transfer, client, fate, fate)
        assert bytes(client.received) == content
        times.append(transfer.ended - transfer.started)
    assert sorted(times)[2] <= limit_s, times


def test_a_client_that_acknowledges_every_block_of_a_window_costs_twice_at_most() -> None:
    content = pattern(64 * 2000)
    transfer = make_transfer(content, 64, 8)
    client = ModelClient(acknowledges_every_block=True)
    sent = run(transfer, client, lambda: (0.001,), lambda: (0.001,))
    assert bytes(client.received) == content
    assert sent <= 2001 * 2.2


def test_reordering_within_windows() -> None:
    content = pattern(64 * 500 + 3)
    rng = random.Random(4)
    transfer = make_transfer(content, 64, 16)
    client = ModelClient()
    fate = impaired(rng, 0.0, 0.0, 0.004)
    run(transfer, client, fate, fate)
    assert bytes(client.received) == content

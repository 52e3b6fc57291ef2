"""What the TFTP measurement concludes from its loads."""

import pytest

from bench.tftp_cells import BOOTYARD, CELLS, Cell, misses
from bench.tftp_loads import Load, Order, Outcome, Transfer

SPEED = Cell("speed", Order(name="file", seconds=1), least_ratio=2.0)
TIME = Cell("time", Order(name="file", seconds=1, transfers=8), most_seconds=0.8)
CROWD = Cell("crowd", Order(name="file", seconds=1, transfers=1, clients=1000))


def load(
    mb: float = 1.0,
    *times: float,
    outcome: Outcome = Outcome.COMPLETE,
    first: float = 0.1,
    peak_mb: float = 50,
    died: bool = False,
) -> Load:
    return Load(
        seconds=1.0,
        bytes=int(mb * 1e6),
        again=0,
        repeated=0,
        generator_cpu=0.5,
        server_cpu=0.5,
        peak_mb=peak_mb,
        died=died,
        transfers=[Transfer(first, time, outcome, 0) for time in times],
    )


def test_the_ratio_is_to_the_best_peer_of_the_same_round() -> None:
    rounds = [
        {BOOTYARD: load(30), "dnsmasq": load(10), "atftpd": load(5)},
        {BOOTYARD: load(8), "dnsmasq": load(1), "atftpd": load(4)},
        {BOOTYARD: load(9), "dnsmasq": load(1), "atftpd": load(9)},
    ]
    assert SPEED.ratios(rounds) == pytest.approx([3, 2, 1])
    assert misses(SPEED, rounds) == []
    assert misses(SPEED, rounds[2:]) == ["1.00 of the best peer, not 2.0"]


def test_a_twentieth_is_noise() -> None:
    assert misses(SPEED, [{BOOTYARD: load(19), "dnsmasq": load(10)}]) == []
    assert misses(SPEED, [{BOOTYARD: load(18.9), "dnsmasq": load(10)}]) != []


def test_without_a_peer_there_is_no_ratio() -> None:
    assert SPEED.ratios([{BOOTYARD: load()}, {"dnsmasq": load()}]) == []
    assert misses(SPEED, [{BOOTYARD: load()}]) == []


def test_a_file_takes_its_median_time() -> None:
    rounds = [{BOOTYARD: load(1, 0.1, 0.5, 0.9), "dnsmasq": load(1, 2.0)}]
    assert TIME.ratios(rounds) == pytest.approx([4.0])
    assert misses(TIME, rounds) == []
    assert misses(TIME, [{BOOTYARD: load(1, 0.1, 0.9, 0.9)}]) == ["0.90 s for a file, not 0.8"]


def test_a_file_that_did_not_end_took_all_the_time() -> None:
    unfinished = load(1, 0.3, outcome=Outcome.UNFINISHED)
    assert misses(TIME, [{BOOTYARD: unfinished}]) == ["1.00 s for a file, not 0.8"]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (load(1, 1.0, outcome=Outcome.FAILED), "1 transfers failed"),
        (load(1, 1.0, outcome=Outcome.UNFINISHED), "1 transfers failed"),
        (load(1, 5.0, first=1.2), "a machine waited 1.20 s for its first byte"),
        (load(1, 5.0, first=-1), "a machine waited 5.00 s for its first byte"),
        (load(1, 1.0, peak_mb=151), "151 MB"),
    ],
)
def test_of_a_crowd_nobody_may_be_left(bad: Load, told: str) -> None:
    assert misses(CROWD, [{BOOTYARD: load(1, 1.0)}]) == []
    assert told in misses(CROWD, [{BOOTYARD: bad}])


def test_wrong_bytes_and_a_death_are_misses_anywhere() -> None:
    wrong, dead = load(1, 1.0, outcome=Outcome.WRONG), load(died=True)
    assert misses(SPEED, [{BOOTYARD: wrong}]) == ["wrong bytes or options"]
    assert misses(SPEED, [{BOOTYARD: dead}]) == ["it died"]


def test_cells_have_names_of_their_own() -> None:
    assert len({cell.name for cell in CELLS}) == len(CELLS)

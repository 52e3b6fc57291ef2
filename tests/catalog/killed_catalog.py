"""A catalog's writes in a process that is killed at any moment: `python -m … STATE_DIR SEED`.

Every change is a number, written in several places that belong together; each is printed when it
is done, so that the test knows what must be there.
"""

import asyncio
import random
import sys
from pathlib import Path

from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import builtin_snapshot
from bootyard.runtime.snapshots import SnapshotHolder
from services.catalog.database import Database
from services.catalog.http.guard import load_admin_token
from services.catalog.library.revisions import assign_revisions
from services.catalog.machines import MachineChange, Machines
from services.catalog.parts import SCHEMAS
from services.catalog.policy import PolicyChange
from services.catalog.publisher import Publisher
from tests.catalog.images import LibraryAtHand, make_target

MAC = MACAddress("52:54:00:12:34:56")
TARGETS = {name: make_target(name) for name in ("even", "odd")}
IMAGES = ("a", "b", "c")


class NoDistributor:
    """Nobody listens."""

    def publish(self, document: bytes) -> None:
        """Take a document."""


def target_of(number: int) -> str:
    """What a machine is armed with in a round."""
    return "odd" if number % 2 else "even"


async def write_for_ever(state: Path, seed: int) -> None:
    """Change everything, round after round, in an order of the seed's."""
    order = random.Random(seed)
    load_admin_token(state / "admin-token", None)
    database = Database.open(state / "catalog.db", SCHEMAS)
    machines = Machines(database, lambda: TARGETS)
    publisher = Publisher(
        database=database,
        library=LibraryAtHand(state, database).library,
        machines=machines,
        loaders=dict,
        http_port=8080,
        holder=SnapshotHolder(builtin_snapshot(8080, {})),
        store=NoDistributor(),
        kept=state / "snapshot.json",
    )
    last = await machines.get(MAC)
    number = int(last.variables["number"]) if last is not None and last.variables else 0
    while True:
        number += 1
        change = MachineChange(
            name=f"m-{number}",
            kernel_args=f"n={number}",
            target=target_of(number),
            variables={"number": str(number)},
        )
        writes = [
            lambda: machines.set(MAC, change),  # noqa: B023
            lambda: machines.set_policy(
                PolicyChange(timeout_seconds=number % 3600, default=target_of(number))  # noqa: B023
            ),
            lambda: machines.arm(MAC, target_of(number), 5 + number % 2),  # noqa: B023
            lambda: database.run(assign_revisions, dict.fromkeys(IMAGES, str(number))),  # noqa: B023
            publisher.publish,
        ]
        order.shuffle(writes)
        for write in writes:
            await write()
        print("done", number, flush=True)


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1]), int(sys.argv[2])))

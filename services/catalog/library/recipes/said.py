"""What a person said about an image, over what its recipe says. Pure."""

import msgspec

from bootyard.model.errors import ImageRejected
from services.catalog.library.description import Description
from services.catalog.library.recipes.material import ImageTree
from services.catalog.library.recipes.plan import Start, check_distinct
from services.catalog.library.recipes.text import check_names, joined_command_line

_TAKES_KERNEL = frozenset({"linux", "efi", "multiboot"})


def with_said(
    starts: tuple[Start, ...], said: Description, tree: ImageTree
) -> tuple[tuple[Start, ...], tuple[str, ...]]:
    """Apply a description to the ways to boot, and say what of it was left out.

    Kernel and initrds change in every start that has the first one's; a command line is the first
    one's own; words to append go to all. Raises ImageRejected.
    """
    kernel = None if said.kernel is None else _there("kernel", said.kernel, tree)
    initrds = None
    if said.initrd is not None:
        initrds = tuple(_there("initrd", path, tree) for path in said.initrd)
        check_names(initrds)
        check_distinct(initrds)
    first = starts[0]
    changed, notes = [], dict[str, None]()
    for start in starts:
        line = start.command_line
        if said.cmdline is not None and start is first:
            line = said.cmdline
        line, dropped = joined_command_line(line, said.cmdline_append)
        notes |= dict.fromkeys(dropped)
        changes: dict[str, object] = {"command_line": line}
        if kernel is not None and start.kernel == first.kernel:
            changes["kernel"] = kernel
            changes["loader"] = start.loader if start.loader in _TAKES_KERNEL else "linux"
        if initrds is not None and start.initrds == first.initrds:
            changes["initrds"] = initrds
        if said.kind is not None and start.kind is first.kind:
            changes["kind"] = said.kind
        changed.append(msgspec.structs.replace(start, **changes))
    return tuple(changed), tuple(notes)


def _there(key: str, path: str, tree: ImageTree) -> str:
    found = tree.find(path)
    if found is None:
        raise ImageRejected(
            f"the description names {path!r} as {key}, and it is not there",
            f"copy it there, or correct {key} in the description",
        )
    check_names((found,))
    return found

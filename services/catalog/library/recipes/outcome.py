"""From ways to boot an image to the library's answer: kernels and kinds are checked. Pure."""

from collections.abc import Mapping

import msgspec

from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import BootTarget, TargetKind
from services.catalog.library import kernels
from services.catalog.library.answers import answers_in
from services.catalog.library.description import ARCHITECTURES, MAX_TITLE, Description
from services.catalog.library.recipes.material import ImageTree, Recognised, Status
from services.catalog.library.recipes.plan import Start
from services.catalog.library.recipes.said import with_said
from services.catalog.library.recipes.text import one_line
from services.catalog.library.secureboot import (
    ChainFiles,
    Signed,
    examine,
    find_chains,
    usable_chains,
)

_HAS_KERNEL = frozenset({"linux", "efi", "multiboot"})
_SIGNED = frozenset({"linux", "efi"})
_EFI_PROGRAMS = ("*.efi", "EFI/*/*.efi", "*/*.efi")
"""Where shims lie that no recipe names."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an image before anything that was said about it is applied."""

    recipe: str
    status: Status
    title: str
    family: str
    version: str = ""
    starts: tuple[Start, ...]
    architectures: tuple[str, ...] = ()
    """Known for certain; empty: as the kernel says."""
    architecture_hint: str = ""
    """What a path or a file says of it, by any name."""
    chains: tuple[ChainFiles, ...] | None = None
    """None: what looks like one."""
    served: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def outcome(draft: Draft, said: Description, tree: ImageTree, image_id: str) -> Recognised:
    """Complete a draft. Raises ImageRejected, and OSError when the image cannot be read."""
    starts, notes = with_said(draft.starts, said, tree)
    title = said.title or one_line(draft.title, MAX_TITLE) or image_id
    family = one_line(said.family.lower() if said.family else draft.family, 40)
    chains = _chains(draft, said, tree)
    programs = {
        path: _examined(tree, path) for chain in chains for path in (chain.shim, chain.grub)
    }
    signed: dict[str, Signed] = {}
    targets = []
    hints: dict[str, None] = {}
    for start in starts:
        _check_files(start, tree)
        if start.kernel not in signed and start.loader in _SIGNED and start.kernel:
            signed[start.kernel] = _examined(tree, start.kernel)
        kind, hint = _kind(start, family)
        hints |= dict.fromkeys(hint)
        targets.append(
            BootTarget(
                id=f"{image_id}/{start.variant}" if start.variant else image_id,
                image=image_id,
                title=f"{title} ({start.title})" if start.variant and start.title else title,
                kind=kind,
                kernel=start.kernel,
                initrds=start.initrds,
                injected=start.injected,
                modules=start.modules,
                command_line=start.command_line,
                loader=start.loader,
                firmware=start.firmware,
                least_memory_mb=start.least_memory_mb,
                is_guess=draft.status == "guess",
                signed_by=signed.get(start.kernel, Signed()).vendor,
                chains=usable_chains(
                    chains,
                    programs,
                    signed[start.kernel],
                    image_id,
                    is_disc=tree.container == "disc",
                )
                if start.kernel in signed
                else (),
            )
        )
    return Recognised(
        recipe=draft.recipe,
        status=draft.status,
        title=title,
        family=family or "unknown",
        version=said.version or draft.version,
        kind=targets[0].kind,
        architectures=_architectures(draft, said, starts[0], tree),
        targets=tuple(targets),
        files=_files(draft, starts, targets),
        templates=_templates(starts),
        evidence=draft.evidence,
        notes=tuple(dict.fromkeys((*draft.notes, *notes, *hints))),
    )


def _chains(draft: Draft, said: Description, tree: ImageTree) -> tuple[ChainFiles, ...]:
    if said.secureboot is not None:
        return find_chains(frozenset(tree.paths()), said)
    if draft.chains is not None:
        return draft.chains
    return find_chains(frozenset(path for glob in _EFI_PROGRAMS for path in tree.glob(glob)), said)


def _examined(tree: ImageTree, path: str) -> Signed:
    return examine(lambda offset, length: tree.read(path, offset, length))


def _check_files(start: Start, tree: ImageTree) -> None:
    """Refuse empty and cut off files: what was copied in part boots to a panic."""
    for path in start.files:
        if not tree.size_of(path):
            raise ImageRejected(f"{path} is empty", "copy the image again")
    if start.loader not in _HAS_KERNEL or not start.kernel:
        return
    size = tree.size_of(start.kernel)
    complete = kernels.complete_size_of(tree.read(start.kernel, 0, kernels.HEADER_BYTES))
    if complete is not None and size < complete:
        raise ImageRejected(
            f"the kernel {start.kernel} is cut off: it has {size} bytes of at least {complete}",
            "copy the image again",
        )


def _kind(start: Start, family: str) -> tuple[TargetKind, tuple[str, ...]]:
    lines = (start.command_line, *(module.command_line for module in start.modules))
    found = (answers_in(line, family) for line in lines)
    answers = next((word for word in found if word is not None), None)
    if answers is None or start.kind is TargetKind.UNATTENDED:
        return start.kind, ()
    return TargetKind.UNATTENDED, (
        f"listed as unattended, not {start.kind}: {answers!r} lets it install without asking",
    )


def _architectures(
    draft: Draft, said: Description, start: Start, tree: ImageTree
) -> tuple[str, ...]:
    if said.architectures is not None:
        return said.architectures
    if draft.architectures:
        return draft.architectures
    if start.kernel and start.loader in _HAS_KERNEL:
        header = tree.read(start.kernel, 0, kernels.HEADER_BYTES)
        from_header = kernels.architecture_of(header)
        if from_header is not None:
            return (from_header,)
    parts = tree.name.lower().replace("_", "-").replace("x86-64", "x86_64").split("-")
    words = (draft.architecture_hint.lower(), *start.kernel.lower().split("/")[:-1], *parts)
    return tuple(ARCHITECTURES[word] for word in words if word in ARCHITECTURES)[:1]


def _files(draft: Draft, starts: tuple[Start, ...], targets: list[BootTarget]) -> tuple[str, ...]:
    named = [file for start in starts for file in start.files]
    named += draft.served
    named += [file for t in targets for chain in t.chains for file in (chain.shim, chain.grub)]
    return tuple(dict.fromkeys(named))


def _templates(starts: tuple[Start, ...]) -> dict[str, str]:
    merged: Mapping[str, str] = {}
    for start in starts:
        merged = {**merged, **start.templates}
    return dict(merged)

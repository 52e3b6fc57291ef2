"""What comes of every miniature, as text; run it to write the files in golden/ anew.

.venv/bin/python -m tests.catalog.recipes.goldens
"""

from pathlib import Path

from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import BootTarget
from services.catalog.library.recipes.material import Recognised
from tests.catalog.recipes.miniatures import MINIATURES
from tests.catalog.recipes.trees import MemoryTree, recognise

GOLDEN = Path(__file__).parent / "golden"


def shown(tree: MemoryTree) -> str:
    """Give everything that is decided about an image, one fact a line."""
    try:
        found = recognise(tree)
    except ImageRejected as refusal:
        return f"refused: {refusal.problem}\ncure: {refusal.cure}\n"
    return "\n".join([*_image(found), *(line for t in found.targets for line in _target(t))]) + "\n"


def _image(found: Recognised) -> list[str]:
    return [
        f"recipe: {found.recipe} ({found.status})",
        f"title: {found.title}",
        f"family: {found.family}, version {found.version or '-'}",
        f"architectures: {' '.join(found.architectures) or '-'}",
        f"files: {' '.join(found.files) or '-'}",
        *(f"evidence: {line}" for line in found.evidence),
        *(f"note: {line}" for line in found.notes),
        *(
            f"template {name}: {line}"
            for name, text in found.templates.items()
            for line in text.splitlines()
        ),
    ]


def _target(target: BootTarget) -> list[str]:
    facts = {
        "title": target.title,
        "kind": target.kind,
        "loader": target.loader,
        "kernel": target.kernel,
        "initrds": " ".join(target.initrds),
        "injected": " ".join(f"{i.path}<-{i.file or 'the image'}" for i in target.injected),
        "modules": "; ".join(f"{m.file} {m.command_line}".strip() for m in target.modules),
        "cmdline": target.command_line,
        "firmware": " ".join(target.firmware),
        "memory": f"{target.least_memory_mb} MB" if target.least_memory_mb else "",
        "signed by": target.signed_by,
        "chains": " ".join(f"{c.firmware}:{c.shim}->{c.grub}" for c in target.chains),
        "guess": "yes" if target.is_guess else "",
    }
    return ["", f"[{target.id}]", *(f"{key}: {value}" for key, value in facts.items() if value)]


if __name__ == "__main__":
    for name, tree in MINIATURES.items():
        (GOLDEN / f"{name}.txt").write_text(shown(tree))

"""A file of `loader/entries/`, as systemd-boot reads it (Boot Loader Specification). Pure."""

from services.catalog.library.recipes.own_entry import OwnEntry, lines_of, path_in_image


def parse_loader_entry(text: str, path: str) -> list[OwnEntry]:
    """Read the one entry of a file; none when it starts no Linux."""
    values: dict[str, list[str]] = {}
    for line in lines_of(text):
        key, *rest = line.split(None, 1)[:2] or [""]
        if rest and not key.startswith("#"):
            values.setdefault(key.lower(), []).append(rest[0].strip())
    kernel = path_in_image(values["linux"][0]) if "linux" in values else ""
    if not kernel:
        return []
    return [
        OwnEntry(
            title=values.get("title", [""])[0],
            kernel=kernel,
            initrds=tuple(path_in_image(initrd) for initrd in values.get("initrd", [])),
            command_line=" ".join(values.get("options", [])),
            file=path,
        )
    ]

"""Where the symbolic links of a disc lead: to its own files and folders, never out of it. Pure."""

from services.catalog.library.discs.found import Found

MAX_HOPS = 40
"""As many as Linux follows."""


def resolve_links(found: Found) -> dict[str, str]:
    """Give the path of what each link leads to; links that lead nowhere on the disc are left out.

    One that begins with `/` counts from the disc's root, where a system would see its own.
    """
    resolver = _Resolver(found)
    resolved = {path: resolver.link(path, 0) for path in found.links}
    return {path: target for path, target in resolved.items() if target is not None}


class _Resolver:
    def __init__(self, found: Found) -> None:
        self._found = found
        self._known: dict[str, str | None] = {}

    def link(self, path: str, hops: int) -> str | None:
        if path in self._known:
            return self._known[path]
        # What is asked for again while it is being answered is a circle.
        self._known[path] = None
        said = self._found.links[path]
        start = "" if said.startswith("/") else path.rpartition("/")[0]
        target = self._walk(start, said, hops)
        if target is not None and target not in self._found.files:
            target = target if target in self._found.folders else None
        self._known[path] = target
        return target

    def _walk(self, path: str, said: str, hops: int) -> str | None:
        for part in said.split("/"):
            if part in {"", "."}:
                continue
            if part == "..":
                if not path:
                    return None
                path = path.rpartition("/")[0]
                continue
            path = f"{path}/{part}" if path else part
            if path in self._found.links:
                target = self.link(path, hops + 1) if hops < MAX_HOPS else None
                if target is None:
                    return None
                path = target
        return path

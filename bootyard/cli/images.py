"""`bootyard image …`: what machines can be booted from."""

from typing import Annotated

import typer

from bootyard.cli.api import with_catalog
from bootyard.cli.documents import ImageDocument, RemovedImageDocument, read
from bootyard.cli.options import JSON
from bootyard.cli.output import print_collection, print_json, print_table, printable, size

app = typer.Typer(help="What machines can be booted from.")


@app.command("list")
def list_images(json: JSON = False) -> None:
    """List the images of the library, with what is wrong with those that cannot be booted."""
    found = with_catalog(lambda catalog: catalog.collection("images"))
    if json:
        print_collection(found)
        return
    print_table(
        ("ID", "TITLE", "KIND", "ARCHITECTURES", "SIZE", "STATE", "PROBLEM"),
        [_row(read(item, ImageDocument)) for item in found.items],
        none="there are no images; copy an ISO or a folder into the images directory",
    )


def _row(image: ImageDocument) -> tuple[str | None, ...]:
    problem = "; ".join(filter(None, (image.problem, image.cure)))
    return (
        image.id,
        image.title,
        image.kind,
        " ".join(image.architectures),
        size(image.size_bytes),
        image.state,
        problem,
    )


@app.command("remove")
def remove_image(
    image: Annotated[str, typer.Argument(metavar="ID", help="As `image list` names it.")],
    json: JSON = False,
) -> None:
    """Take an image out of the library; its file moves to `.removed/` in the images directory."""
    if not image:
        raise typer.BadParameter("is empty", param_hint="'ID'")
    document = with_catalog(lambda catalog: catalog.remove("images", image))
    if json:
        print_json(document)
    else:
        removed = read(document, RemovedImageDocument)
        print(printable(f"{removed.id} is out of the library; it is kept in {removed.moved_to}"))

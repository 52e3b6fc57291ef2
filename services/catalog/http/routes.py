"""All routes of the catalog."""

from aiohttp import web

from services.catalog.http.boot import boot_script
from services.catalog.http.context import CATALOG, Catalog
from services.catalog.http.files import tree_file
from services.catalog.http.guard import admit, count, tell_failures

MAX_BODY = 1024 * 1024


def make_app(catalog: Catalog) -> web.Application:
    """Put the application together."""
    app = web.Application(
        middlewares=[count, tell_failures, admit],
        client_max_size=MAX_BODY,
    )
    app[CATALOG] = catalog
    app.on_response_prepare.append(_sign)
    app.add_routes(
        [
            web.get("/boot.ipxe", boot_script),
            web.get("/autoexec.ipxe", boot_script),
            web.get("/tree/{path:.*}", tree_file),
            *catalog.telemetry.routes(),
        ]
    )
    return app


async def _sign(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "Bootyard"

"""All routes of the catalog."""

from aiohttp import web

from services.catalog.http import api, ui
from services.catalog.http.boot import boot_script
from services.catalog.http.context import CATALOG, Catalog
from services.catalog.http.files import tree_file
from services.catalog.http.grub_tcp import forget_soon
from services.catalog.http.guard import add_headers, admit, count, tell_failures
from services.catalog.http.watching import watch_boots

V1 = "/api/v1"
GRUB_AT_ROOT = r"/{path:grub\.cfg|(?:grub|boot/grub|debian-installer|EFI|efi)/.*}"
"""After HTTP Boot GRUB knows the server, and the folder that its builder chose, but not `/tree`."""
MAX_BODY = 1024 * 1024


def make_app(catalog: Catalog) -> web.Application:
    """Put the application together."""
    app = web.Application(
        middlewares=[count, tell_failures, admit],
        client_max_size=MAX_BODY,
    )
    app[CATALOG] = catalog
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(forget_soon)
    app.on_shutdown.append(_let_watchers_go)
    app.add_routes(
        [
            web.get("/boot.ipxe", boot_script),
            web.get("/autoexec.ipxe", boot_script),
            web.get("/tree/{path:.*}", tree_file),
            web.get(GRUB_AT_ROOT, tree_file),
            *catalog.telemetry.routes(),
            web.get("/", ui.page),
            web.get("/static/{name}", ui.static_file),
            web.get(f"{V1}/images", api.list_images),
            web.get(f"{V1}/images/{{id}}", api.get_image),
            web.delete(f"{V1}/images/{{id}}", api.remove_image),
            web.get(f"{V1}/targets", api.list_targets),
            web.get(f"{V1}/machines", api.list_machines),
            web.get(f"{V1}/machines/{{mac}}", api.get_machine),
            web.put(f"{V1}/machines/{{mac}}", api.put_machine),
            web.patch(f"{V1}/machines/{{mac}}", api.patch_machine),
            web.delete(f"{V1}/machines/{{mac}}", api.remove_machine),
            web.put(f"{V1}/machines/{{mac}}/boot-once", api.arm_machine),
            web.delete(f"{V1}/machines/{{mac}}/boot-once", api.disarm_machine),
            web.get(f"{V1}/policy", api.get_policy),
            web.put(f"{V1}/policy", api.put_policy),
            web.patch(f"{V1}/policy", api.patch_policy),
            web.get(f"{V1}/menus", api.list_menus),
            web.put(f"{V1}/menus/{{id}}", api.put_menu),
            web.delete(f"{V1}/menus/{{id}}", api.remove_menu),
            web.get(f"{V1}/boots", api.list_boots),
            web.get(f"{V1}/boots/{{id}}", api.get_boot),
            web.get(f"{V1}/events", watch_boots, allow_head=False),
        ]
    )
    return app


async def _let_watchers_go(app: web.Application) -> None:
    app[CATALOG].feed.close()

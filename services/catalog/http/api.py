"""The API: images, targets, machines, the policy, menus and boots, under `/api/v1`."""

from aiohttp import web

from services.catalog.boots.boot import boot_number
from services.catalog.http.bodies import (
    BootOnceBody,
    MachineBody,
    MachinePatch,
    MenuBody,
    PolicyBody,
    PolicyPatch,
    answer,
    collection,
    read_body,
    read_mac,
)
from services.catalog.http.context import CATALOG, Catalog
from services.catalog.http.guard import has_token
from services.catalog.http.problems import Problem
from services.catalog.http.views import (
    MachineView,
    boot_view,
    image_view,
    machine_view,
    target_view,
)
from services.catalog.library.image import LibraryImage
from services.catalog.machines import MachineRecord

MAX_PAGE = 500
PAGE = 50


async def list_images(request: web.Request) -> web.Response:
    """GET /images: everything in the library, with what is wrong with it."""
    images = sorted(request.app[CATALOG].library.images, key=lambda i: (i.id, not i.is_ready))
    return collection([image_view(image) for image in images])


async def get_image(request: web.Request) -> web.Response:
    """GET /images/{id}."""
    return answer(image_view(_image(request)))


async def remove_image(request: web.Request) -> web.Response:
    """DELETE /images/{id}: the file or folder is moved to IMAGES_DIR/.removed, not deleted."""
    catalog, image = request.app[CATALOG], _image(request)
    moved = await catalog.library.remove(image)
    await catalog.publisher.publish()
    return answer({"id": image.id, "moved_to": str(moved)})


async def list_targets(request: web.Request) -> web.Response:
    """GET /targets: everything that can be booted now."""
    targets = request.app[CATALOG].library.targets
    return collection([target_view(targets[name]) for name in sorted(targets)])


async def list_machines(request: web.Request) -> web.Response:
    """GET /machines: every machine that something was said about."""
    records = await request.app[CATALOG].machines.list()
    return collection([_machine_view(request, record) for record in records])


async def get_machine(request: web.Request) -> web.Response:
    """GET /machines/{mac}."""
    return answer(_machine_view(request, await _machine(request)))


async def put_machine(request: web.Request) -> web.Response:
    """PUT /machines/{mac}: make it what the body says, and nothing else."""
    body = await read_body(request, MachineBody)
    catalog, mac = request.app[CATALOG], read_mac(request.match_info["mac"])
    before = await catalog.machines.get(mac)
    change = body.as_change(before.variables if before is not None else {})
    record = await catalog.machines.set(mac, change)
    await catalog.publisher.publish()
    return answer(_machine_view(request, record), 200 if before is not None else 201)


async def patch_machine(request: web.Request) -> web.Response:
    """PATCH /machines/{mac}: change what the body names; makes the machine when it is new."""
    change = await read_body(request, MachinePatch)
    catalog = request.app[CATALOG]
    record = await catalog.machines.set(read_mac(request.match_info["mac"]), change)
    await catalog.publisher.publish()
    return answer(_machine_view(request, record))


async def remove_machine(request: web.Request) -> web.Response:
    """DELETE /machines/{mac}."""
    catalog, record = request.app[CATALOG], await _machine(request)
    await catalog.machines.remove(record.mac)
    await catalog.publisher.publish()
    return web.Response(status=204)


async def arm_machine(request: web.Request) -> web.Response:
    """PUT /machines/{mac}/boot-once: boot a target once, at the machine's next boot."""
    body = await read_body(request, BootOnceBody)
    catalog, mac = request.app[CATALOG], read_mac(request.match_info["mac"])
    record = await catalog.machines.arm(mac, body.target, body.expires_minutes)
    # proxydhcp chooses another loader for an armed machine, so it must know the machine.
    await catalog.publisher.publish()
    return answer(_machine_view(request, record))


async def disarm_machine(request: web.Request) -> web.Response:
    """DELETE /machines/{mac}/boot-once."""
    catalog, record = request.app[CATALOG], await _machine(request)
    if not await catalog.machines.disarm(record.mac):
        raise Problem(404, f"nothing is armed for {record.mac}", "there is nothing to take back")
    return web.Response(status=204)


async def get_policy(request: web.Request) -> web.Response:
    """GET /policy."""
    return answer(await request.app[CATALOG].machines.policy())


async def put_policy(request: web.Request) -> web.Response:
    """PUT /policy: make it what the body says; what is left out gets its default."""
    body = await read_body(request, PolicyBody)
    catalog = request.app[CATALOG]
    policy = await catalog.machines.set_policy(body.as_change())
    await catalog.publisher.publish()
    return answer(policy)


async def patch_policy(request: web.Request) -> web.Response:
    """PATCH /policy: change what the body names."""
    change = await read_body(request, PolicyPatch)
    catalog = request.app[CATALOG]
    policy = await catalog.machines.set_policy(change)
    await catalog.publisher.publish()
    return answer(policy)


async def list_menus(request: web.Request) -> web.Response:
    """GET /menus: the operator's own entries."""
    return collection(await request.app[CATALOG].menus.list())


async def put_menu(request: web.Request) -> web.Response:
    """PUT /menus/{id}: make an entry, or make it what the body says."""
    body = await read_body(request, MenuBody)
    catalog = request.app[CATALOG]
    entry, is_new = await catalog.menus.put(request.match_info["id"], body.title, body.script)
    await catalog.publisher.publish()
    return answer(entry, 201 if is_new else 200)


async def remove_menu(request: web.Request) -> web.Response:
    """DELETE /menus/{id}."""
    catalog, name = request.app[CATALOG], request.match_info["id"]
    if not await catalog.menus.remove(name):
        raise Problem(404, f"there is no menu entry {name!r}", "GET /api/v1/menus lists them")
    await catalog.publisher.publish()
    return web.Response(status=204)


async def list_boots(request: web.Request) -> web.Response:
    """GET /boots?mac=&open=&limit=&cursor=: newest first."""
    query = request.query
    limit = _limit(query.get("limit"))
    boots = await request.app[CATALOG].journal.page(
        limit + 1,
        _number(query["cursor"], 400) if "cursor" in query else None,
        read_mac(query["mac"]) if "mac" in query else None,
        _flag(query["open"]) if "open" in query else None,
    )
    following = boots[limit - 1].id if len(boots) > limit else None
    return collection([boot_view(boot) for boot in boots[:limit]], following)


async def get_boot(request: web.Request) -> web.Response:
    """GET /boots/{id}."""
    name = request.match_info["id"]
    boot = await request.app[CATALOG].journal.find(_number(name, 404))
    if boot is None:
        raise _no_boot(name, 404)
    return answer(boot_view(boot))


def _image(request: web.Request) -> LibraryImage:
    name = request.match_info["id"]
    image = request.app[CATALOG].library.get(name)
    if image is None:
        raise Problem(404, f"there is no image {name!r}", "see `bootyard image list`")
    return image


async def _machine(request: web.Request) -> MachineRecord:
    mac = read_mac(request.match_info["mac"])
    record = await request.app[CATALOG].machines.get(mac)
    if record is None:
        cure = f"`bootyard machine set {mac}` makes it"
        raise Problem(404, f"nothing was said about a machine {mac}", cure)
    return record


def _machine_view(request: web.Request, record: MachineRecord) -> MachineView:
    catalog: Catalog = request.app[CATALOG]
    return machine_view(
        record,
        catalog.states.state(record.mac),
        catalog.journal.timeline.latest(record.mac),
        catalog.snapshots.snapshot.learned_of(record.mac),
        with_variables=has_token(request),
    )


def _number(name: str, status: int) -> int:
    number = boot_number(name)
    if number is None:
        raise _no_boot(name, status)
    return number


def _no_boot(name: str, status: int) -> Problem:
    return Problem(status, f"there is no boot {name!r}", "see `bootyard boots`")


def _flag(text: str) -> bool:
    flags = {"true": True, "1": True, "false": False, "0": False}
    if text not in flags:
        raise Problem(400, f"open={text!r} is neither true nor false", "write open=true")
    return flags[text]


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_PAGE):
        raise Problem(400, f"limit={text!r} is not possible", f"use 1 to {MAX_PAGE}")
    return int(text)

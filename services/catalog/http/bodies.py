"""What the API is sent, and how it answers."""

import asyncio
from typing import Literal, TypeVar

import msgspec
from aiohttp import web

from bootyard.model.architecture import Firmware
from bootyard.model.document import DocumentInvalid, decode, encode
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Policy, SubnetRule
from services.catalog.http.problems import Problem
from services.catalog.machines import DEFAULT_EXPIRES_MINUTES, MachineChange
from services.catalog.policy import PolicyChange

T = TypeVar("T", bound=msgspec.Struct)

READ_SECONDS = 10.0


class MachineBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A machine as a whole: what is left out is not set."""

    name: str | None = None
    tags: tuple[str, ...] = ()
    target: str | None = None
    kernel_args: str = ""
    firmware: Firmware | None = None
    loader: LoaderName | None = None
    offer: OfferStrategy | None = None
    secure_boot: bool | None = None
    variables: dict[str, str] = {}

    def as_change(self, variables_before: dict[str, str]) -> MachineChange:
        """Make it the change that leaves nothing else."""
        gone: dict[str, str | None] = dict.fromkeys(variables_before)
        return MachineChange(
            name=self.name,
            tags=self.tags,
            target=self.target,
            kernel_args=self.kernel_args,
            firmware=self.firmware,
            loader=self.loader,
            offer=self.offer,
            secure_boot=self.secure_boot,
            variables={**gone, **self.variables},
        )


class MachinePatch(MachineChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a machine; null takes a field away."""


class SubnetBody(SubnetRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TFTP settings of one network."""


class PolicyBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The policy as a whole: what is left out gets its default."""

    default: str = Policy().default
    timeout_seconds: int = Policy().timeout_seconds
    unknown: Literal["menu", "local-disk", "silence"] = Policy().unknown
    local_disk_method: Literal["exit", "sanboot", "poweroff"] = Policy().local_disk_method
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    secure_boot: Literal["auto", "always", "never"] = Policy().secure_boot
    subnets: tuple[SubnetBody, ...] = ()

    def as_change(self) -> PolicyChange:
        """Make it the change that sets every field."""
        return PolicyChange(**msgspec.structs.asdict(self))


class PolicyPatch(PolicyChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of the policy; a list is replaced as a whole."""

    subnets: tuple[SubnetBody, ...] | msgspec.UnsetType = msgspec.UNSET


class MenuBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An entry of the operator's own in menus."""

    title: str
    script: str


class BootOnceBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a machine is to boot once."""

    target: str
    expires_minutes: float = DEFAULT_EXPIRES_MINUTES


async def read_body(request: web.Request, shape: type[T]) -> T:
    """Read a request's body as `shape`; what does not fit is refused with the fields there are."""
    async with asyncio.timeout(READ_SECONDS):
        body = await request.read()
    try:
        return decode(body, shape)
    except DocumentInvalid as error:
        names = ", ".join(field.name for field in msgspec.structs.fields(shape))
        raise Problem(400, str(error), f"send a JSON object with some of: {names}") from error


def read_mac(text: str) -> MACAddress:
    """Read a MAC address in a URL, in any spelling."""
    try:
        return MACAddress.parse(text)
    except ValueError as error:
        raise Problem(400, str(error), "write it as 52:54:00:12:34:56") from error


def answer(value: object, status: int = 200) -> web.Response:
    """Answer with a JSON document."""
    return web.Response(status=status, body=encode(value), content_type="application/json")


def collection(items: object, following: str | None = None) -> web.Response:
    """Answer with a collection; `following` is the cursor of what comes after it."""
    return answer({"items": items, "next": following})

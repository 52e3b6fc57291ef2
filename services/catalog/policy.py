"""The policy: what machines get that nobody said anything about."""

import sqlite3
from typing import Any, Literal

import msgspec

from bootyard.model.document import decode, encode
from bootyard.model.errors import RequestRefused
from bootyard.model.snapshot import Policy, SubnetRule
from services.catalog import rules
from services.catalog.database import read_property, write_property
from services.catalog.subnets import check_subnets

PROPERTY = "policy"


class PolicyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to set of the policy; fields that are left out stay as they are.

    `allow` and `deny` take MAC addresses in any spelling.
    """

    default: str | msgspec.UnsetType = msgspec.UNSET
    timeout_seconds: int | msgspec.UnsetType = msgspec.UNSET
    unknown: Literal["menu", "local-disk", "silence"] | msgspec.UnsetType = msgspec.UNSET
    local_disk_method: Literal["exit", "sanboot", "poweroff"] | msgspec.UnsetType = msgspec.UNSET
    allow: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    deny: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    secure_boot: Literal["auto", "always", "never"] | msgspec.UnsetType = msgspec.UNSET
    subnets: tuple[SubnetRule, ...] | msgspec.UnsetType = msgspec.UNSET


def changed_policy(before: Policy, change: PolicyChange, targets: rules.Targets) -> Policy:
    """Apply a change; raises RequestRefused when the outcome breaks a rule."""
    fields: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(change).items()
        if value is not msgspec.UNSET
    }
    for name in ("allow", "deny"):
        if name in fields:
            fields[name] = rules.check_macs(fields[name])
    if "subnets" in fields:
        fields["subnets"] = check_subnets(fields["subnets"])
    try:
        policy = msgspec.convert(
            msgspec.structs.asdict(msgspec.structs.replace(before, **fields)),
            Policy,
            dec_hook=lambda _, value: value,
        )
    except msgspec.ValidationError as error:
        raise RequestRefused(f"that is no policy: {error}", "see `bootyard policy show`") from error
    _check(policy, change, targets)
    return policy


def _check(policy: Policy, change: PolicyChange, targets: rules.Targets) -> None:
    rules.check_timeout(policy.timeout_seconds)
    if change.default is not msgspec.UNSET:
        # Only what is set now: an image that is away for a moment must not block other changes.
        rules.check_standing_target(policy.default, targets)


def read_policy(connection: sqlite3.Connection) -> Policy:
    """Read the policy; the default one when nothing was ever said."""
    document = read_property(connection, PROPERTY)
    return Policy() if document is None else decode(document, Policy)


def set_policy(
    connection: sqlite3.Connection, change: PolicyChange, targets: rules.Targets
) -> Policy:
    """Change the policy; raises RequestRefused."""
    policy = changed_policy(read_policy(connection), change, targets)
    write_property(connection, PROPERTY, encode(policy).decode())
    return policy

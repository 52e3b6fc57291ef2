"""What people read about machines, boots and the policy. Pure."""

from bootyard.model.architecture import Firmware
from bootyard.model.events import BootOutcome, OfferStage, Step
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned, Machine, Policy, SubnetRule
from services.catalog.boots.boot import BootStep

OUTCOMES = {
    BootOutcome.RUNNING: "started",
    BootOutcome.INSTALLED: "installed",
    BootOutcome.LOCAL_DISK: "went to its local disk",
    BootOutcome.MENU_ONLY: "stopped at the menu",
    BootOutcome.STOPPED_OFFER: "took no answer to its DHCP request",
    BootOutcome.STOPPED_4011: "stopped after port 4011",
    BootOutcome.STOPPED_LOADER: "stopped after the boot loader",
    BootOutcome.SECURE_BOOT: "refused by Secure Boot",
    BootOutcome.STOPPED_SCRIPT: "stopped after the boot script",
    BootOutcome.STOPPED_KERNEL: "stopped at the kernel",
    BootOutcome.STOPPED_INITRD: "stopped at the initrd",
    BootOutcome.SILENT: "got no answer",
    BootOutcome.DENIED: "denied by the policy",
}

_STRATEGIES = {
    OfferStrategy.DIRECT: "without a question on port 4011",
    OfferStrategy.COMPATIBLE: "with a question on port 4011",
    OfferStrategy.MENU: "as a boot menu of one entry",
}

_SECURE_BOOT = {
    "probable": "Secure Boot probably refuses unsigned loaders: it took one to the end, and then"
    " nothing was heard of it",
    "confirmed": "Secure Boot refuses unsigned loaders: it left one, and started the signed ones",
}
_CONSEQUENCES = {
    "auto": "so it gets the signed ones",
    "always": "and the policy gives every machine the signed ones",
    "never": "but the policy gives it no signed ones",
}


def usual_strategy(stage: OfferStage, firmware: Firmware) -> OfferStrategy:
    """Name how a client that nothing is known of is offered its boot file."""
    if stage is OfferStage.PI:
        return OfferStrategy.MENU
    if stage is OfferStage.ROM and firmware not in {Firmware.BIOS, Firmware.UBOOT}:
        return OfferStrategy.COMPATIBLE
    return OfferStrategy.DIRECT


def step_note(step: BootStep, firmware: Firmware | None) -> str | None:
    """Say what is special about a step; None: nothing."""
    if not step.is_ours:
        return step.detail or "another server on this network offers a boot file too"
    if step.step is not Step.OFFERED or step.strategy is None:
        return None
    if step.stage is None or firmware is None:
        return None
    if step.strategy is usual_strategy(step.stage, firmware):
        return None
    return f"{_STRATEGIES[step.strategy]}, which is not the usual way for {firmware}"


def how_it_boots(
    mac: MACAddress, machine: Machine | None, learned: Learned, policy: Policy
) -> tuple[str, ...]:
    """Say what is pinned for a machine, and what is concluded from its boots."""
    pinned = machine or Machine(mac=mac)
    lines: list[str] = []
    if pinned.loader is not None:
        lines.append(f"loader {pinned.loader}: pinned")
    if pinned.offer is not None:
        lines.append(f"offer {pinned.offer}: pinned")
    elif learned.offer is not None:
        lines.append(f"offer {learned.offer}: it took one before")
    if pinned.secure_boot is not None:
        lines.append(f"Secure Boot {'on' if pinned.secure_boot else 'off'}: said, not concluded")
    elif learned.secure_boot is not None:
        lines.append(
            f"{_SECURE_BOOT[learned.secure_boot]}, {_CONSEQUENCES[policy.secure_boot]}. That is"
            " concluded from its boots;"
            f" `bootyard machine set {mac} --secure-boot on|off` says it instead"
        )
    if learned.dead_ends:
        lines.append(f"led nowhere, so others are tried for now: {', '.join(learned.dead_ends)}")
    return tuple(lines)


def policy_lines(policy: Policy) -> tuple[tuple[str, str], ...]:
    """Write the policy as pairs of a subject and what is said about it."""
    lines = [
        ("A machine without a target", policy.default),
        ("The menu waits", f"{policy.timeout_seconds} s" if policy.timeout_seconds else "for ever"),
        ("A machine that nobody named", policy.unknown),
        ("Signed loaders", _SIGNED[policy.secure_boot]),
    ]
    if policy.allow:
        lines.append(("Only these are answered", ", ".join(policy.allow)))
    if policy.deny:
        lines.append(("These are not answered", ", ".join(policy.deny)))
    lines += [(f"TFTP in {rule.network}", _subnet_words(rule)) for rule in policy.subnets]
    return tuple(lines)


_SIGNED = {
    "auto": "for machines that were seen to refuse unsigned ones",
    "always": "for every machine",
    "never": "for machines that are told so",
}


def _subnet_words(rule: SubnetRule) -> str:
    words: list[str] = []
    if rule.max_block_size is not None:
        words.append(f"blocks of at most {rule.max_block_size} bytes")
    if rule.max_window_size is not None:
        words.append(f"windows of at most {rule.max_window_size} blocks")
    if rule.retry_seconds is not None:
        words.append(f"again after {rule.retry_seconds:g} s")
    if rule.tries is not None:
        words.append(f"{rule.tries} tries" if rule.tries > 1 else "one try")
    return ", ".join(words) or "as everywhere, and behind a router too"

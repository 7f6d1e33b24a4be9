"""systemctl for a machine without systemd: it starts what the units say, as their user, where their user may write.

Of a unit it heeds User, WorkingDirectory, StateDirectory, EnvironmentFile, ExecStart, ExecStartPost, ExecReload, Type,
ProtectSystem and PrivateTmp; ``systemd-analyze verify`` looks at the rest. Run as ``systemctl COMMAND UNIT``.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
RUN = Path("/run/systemctl")


def settings_of(unit):
    """Return a unit's settings; the last of each name counts."""
    file = next(folder / unit for folder in UNITS if (folder / unit).exists())
    lines = re.sub(r"\\\n\s*", "", file.read_text()).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith(("#", ";")))


def command_of(line, variables):
    """Split a command as systemd does: $NAME alone is several words, $$ and %% are one sign each."""
    words = []
    for word in shlex.split(line.lstrip("+-")):
        if re.fullmatch(r"\$\w+", word):
            words += variables.get(word[1:], "").split()
        else:
            words.append(word.replace("%%", "%").replace("$$", "$"))
    return words


def variables_of(settings):
    lines = Path(settings["EnvironmentFile"]).read_text().splitlines() if "EnvironmentFile" in settings else []
    given = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {"PATH": "/shims:/usr/sbin:/usr/bin:/sbin:/bin", **given}


def confined(settings, variables, command):
    """Return what runs a command as the unit's user, with the folders that the unit leaves writable."""
    user, state = settings.get("User", "root"), settings.get("StateDirectory")
    home = Path(f"~{user}").expanduser()
    script = ["set -e"]
    if state:
        script += [
            f"install -d -o {user} -g {user} /var/lib/{state}",
            f"mount --bind /var/lib/{state} /var/lib/{state}",
        ]
    if settings.get("ProtectSystem") == "strict":
        script.append("mount -o remount,bind,ro /")
    if settings.get("PrivateTmp") in ("yes", "true"):
        script.append("mount -t tmpfs -o mode=1777 none /tmp")
    given = shlex.join(f"{name}={value}" for name, value in {"HOME": str(home), **variables}.items())
    words = f"setpriv --reuid={user} --regid={user} --init-groups --no-new-privs env -i {given} {shlex.join(command)}"
    script += [f"cd {settings.get('WorkingDirectory', '/')}", f"umask {settings.get('UMask', '0022')}", f"exec {words}"]
    return ["unshare", "--mount", "sh", "-c", "\n".join(script)]


def start(unit):
    settings = settings_of(unit)
    if "ExecStart" not in settings:  # a timer: it will not ring here
        return
    variables = variables_of(settings)
    command = confined(settings, variables, command_of(settings["ExecStart"], variables))
    log = (RUN / f"{unit}.log").open("a")
    if settings.get("Type") == "oneshot":
        subprocess.run(command, stdout=log, stderr=log, check=True)
        if "ExecStartPost" in settings:
            _, *arguments = command_of(settings["ExecStartPost"], variables)  # another systemctl
            subprocess.run([sys.executable, __file__, *arguments], check=True)
        return
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (RUN / unit).write_text(str(process.pid))


def pid_of(unit):
    return int((RUN / unit).read_text())


def stop(unit):
    os.kill(pid_of(unit), signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError):
        for _ in range(600):
            os.kill(pid_of(unit), 0)
            if ") Z " in Path(f"/proc/{pid_of(unit)}/stat").read_text():
                return
            time.sleep(0.05)
        raise SystemExit(f"{unit} does not end")


def reload(unit):
    settings = settings_of(unit)
    command = command_of(settings["ExecReload"].replace("$MAINPID", str(pid_of(unit))), {})
    subprocess.run(command, check=True)


def main():
    RUN.mkdir(parents=True, exist_ok=True)
    action, *rest = [word for word in sys.argv[1:] if word != "--now"]
    for unit in (name if "." in name else f"{name}.service" for name in rest):
        settings_of(unit)  # there is such a unit
        if action in ("start", "enable") and (action == "start" or "--now" in sys.argv):
            start(unit)
        elif action == "stop":
            stop(unit)
        elif action == "restart":
            stop(unit)
            start(unit)
        elif action == "reload":
            reload(unit)


if __name__ == "__main__":
    main()

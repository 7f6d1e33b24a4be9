"""compose.yaml, the Kubernetes manifest and the systemd units say what production needs, and fit the image."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rootless
import yaml
from typer.testing import CliRunner

from cofactor.apps.cli import build
from cofactor.apps.web.access import MIN_TOKEN_LENGTH, Tokens
from cofactor.apps.web.server import DRAIN_SECONDS
from cofactor.errors import SettingError

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(path.name for path in DEPLOY.glob("cofactor*.*") if path.suffix in (".service", ".timer"))
DOCKERFILE = dict(reversed(list(rootless.instructions((ROOT / "Dockerfile").read_text("utf-8")))))
"""The last instruction of each kind."""


class Strict(yaml.SafeLoader):
    """A loader that refuses what YAML lets pass: a key that is given twice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: a key is there twice"
        return super().construct_mapping(node, deep)


def loaded(name):
    return list(yaml.load_all((DEPLOY / name).read_text("utf-8"), Strict))


@pytest.fixture(scope="module")
def services():
    (compose,) = loaded("compose.yaml")
    assert set(compose) == {"name", "services", "secrets", "volumes"}
    return compose["services"]


@pytest.fixture(scope="module")
def kinds():
    """The Kubernetes objects by their kind."""
    objects = loaded("kubernetes.yaml")
    assert len({one["kind"] for one in objects}) == len(objects)
    return {one["kind"]: one for one in objects}


@pytest.fixture(scope="module")
def pod(kinds):
    return kinds["Deployment"]["spec"]["template"]["spec"]


def accepts(arguments):
    """Tell whether the command line knows a command and all its options; it ends before it does anything."""
    result = CliRunner().invoke(build(arguments), [*arguments, "--help"])
    return result.exit_code == 0 and "No such option" not in result.output


def test_the_image_s_command_is_one_that_the_command_line_has():
    command = json.loads(DOCKERFILE["CMD"])
    assert accepts(command)
    assert not accepts(["serv"])


def test_every_service_of_compose_can_write_only_where_it_must(services):
    for service in services.values():
        assert service["read_only"] is True
        assert "/tmp" in service["tmpfs"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert services["cofactor"]["cap_drop"] == ["ALL"]
    assert all(volume.endswith(":ro") for volume in services["cofactor"]["volumes"])


def test_compose_starts_the_service_once_its_database_answers(services):
    assert services["cofactor"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert services["database"]["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    address = services["cofactor"]["environment"]["COFACTOR_RATINGS"]
    user, host, name = re.fullmatch(r"postgresql\+psycopg://(\w+):\$\{.*\}@(\w+)/(\w+)", address).groups()
    assert (services["database"]["environment"]["POSTGRES_USER"], host in services) == (user, True)
    assert services["database"]["environment"]["POSTGRES_DB"] == name
    assert int(services["cofactor"]["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS


def test_compose_publishes_for_this_machine_alone_and_mounts_what_the_image_reads(services):
    (published,) = services["cofactor"]["ports"]
    assert published == f"127.0.0.1:8000:{DOCKERFILE['EXPOSE']}"
    command = json.loads(DOCKERFILE["CMD"])
    assert command[1].startswith("/model/")
    assert services["cofactor"]["volumes"] == ["./model:/model:ro"]
    assert command[command.index("--token-file") + 1] == f"/run/secrets/{services['cofactor']['secrets'][0]}"


def test_the_pod_runs_without_rights_and_writes_nowhere_but_tmp(pod):
    security = {**pod["securityContext"], **pod["containers"][0]["securityContext"]}
    assert security["runAsNonRoot"] is True
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == DOCKERFILE["USER"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    mounts = pod["containers"][0]["volumeMounts"]
    assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == ["/tmp"]
    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod["volumes"]}


def test_the_pod_s_probes_and_arguments_are_those_of_the_service(pod):
    (container,) = pod["containers"]
    probed = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probed.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    (port,) = container["ports"]
    assert {probe["port"] for probe in probed.values()} == {port["name"]}
    assert str(port["containerPort"]) == DOCKERFILE["EXPOSE"]
    assert accepts(container["args"])
    assert pod["terminationGracePeriodSeconds"] >= DRAIN_SECONDS + 5
    token_file = next(one for one in container["args"] if one.startswith("--token-file=")).partition("=")[2]
    (tokens,) = [mount for mount in container["volumeMounts"] if mount["name"] == "tokens"]
    assert token_file == f"{tokens['mountPath']}/tokens"


def test_kubernetes_objects_refer_to_each_other(kinds, pod):
    deployment = kinds["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (
        deployment["selector"]["matchLabels"],
        kinds["Service"]["spec"]["selector"],
        kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["model"]["persistentVolumeClaim"] == {
        "claimName": kinds["PersistentVolumeClaim"]["metadata"]["name"],
        "readOnly": True,
    }
    secret = kinds["Secret"]
    assert volumes["tokens"]["secret"]["secretName"] == secret["metadata"]["name"]
    (variable,) = pod["containers"][0]["env"]
    assert variable["valueFrom"]["secretKeyRef"]["key"] in secret["stringData"]
    assert {item["key"] for item in volumes["tokens"]["secret"]["items"]} <= set(secret["stringData"])


def test_the_service_refuses_the_token_that_the_manifest_ships(kinds, tmp_path):
    (tmp_path / "tokens").write_text(kinds["Secret"]["stringData"]["tokens"])
    with pytest.raises(SettingError, match=f"{MIN_TOKEN_LENGTH} characters or more"):
        Tokens(tmp_path / "tokens")


def systemd():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    return program


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(unit, tmp_path):
    for name in UNITS:
        text = (DEPLOY / name).read_text("utf-8").replace("/opt/cofactor/bin/cofactor", sys.executable)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [systemd(), "verify", "--man=no", str(tmp_path / unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_wrong_with_a_unit_is_found(tmp_path):
    text = (DEPLOY / "cofactor.service").read_text("utf-8").replace("ProtectSystem=", "ProtectSystems=")
    (tmp_path / "cofactor.service").write_text(text)
    done = subprocess.run(
        [systemd(), "verify", "--man=no", str(tmp_path / "cofactor.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ProtectSystems" in done.stderr


def test_the_service_under_systemd_is_exposed_to_little(tmp_path):
    command = [systemd(), "security", "--offline=true", "--threshold=20", str(DEPLOY / "cofactor.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is too old to look at a file")
    assert done.returncode == 0, done.stdout[-2000:]

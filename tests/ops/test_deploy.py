"""The files in `ops/deploy`: what keeps the vault apart there is there, and they name what the product has."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.cli import main
from tests.docs.guide import ROOT
from vault.settings import Settings

DEPLOY = ROOT / "ops" / "deploy"
VARIABLES = {f"CARDVAULT_{name.upper()}" for name in Settings.model_fields}
POLICED = {"servers", "worker", "migrations"}
UNITS = ("cardvault-server@.service", "cardvault-worker.service")


def documents(folder: str) -> Iterator[dict[str, Any]]:
    for path in sorted((DEPLOY / folder).glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def manifests(kind: str) -> list[dict[str, Any]]:
    return [each for each in documents("kubernetes") if each["kind"] == kind]


def pods() -> list[dict[str, Any]]:
    return [each["spec"]["template"] for kind in ("Deployment", "Job") for each in manifests(kind)]


def is_setting(name: str) -> bool:
    return name in VARIABLES or name.removesuffix("_FILE") in VARIABLES


def test_every_pod_is_as_small_as_the_strictest_standard_asks() -> None:
    namespace = manifests("Namespace")[0]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*spec["initContainers"], *spec["containers"]):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            assert "@sha256:" in container["image"]
        assert all(set(volume) <= {"name", "secret", "emptyDir"} for volume in spec["volumes"])


def test_everything_that_is_not_named_is_cut_off() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in manifests("NetworkPolicy")}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert policies["callers-of-servers"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "servers"
    assert [name for name, each in policies.items() if "ingress" in each] == ["callers-of-servers"]
    for name, each in policies.items():
        for rule in (*each.get("ingress", []), *each.get("egress", [])):
            assert rule["ports"], name
            assert rule.get("from") or rule.get("to"), name
    callers = str(policies["callers-of-servers"]["ingress"])
    assert "cardvault/ingress" in callers
    assert "cardvault/caller" not in callers, "what comes past the ingress is plain HTTP"
    open_to_all = [name for name, each in policies.items() if "0.0.0.0/0" in str(each)]
    assert open_to_all == ["webhooks"]
    assert policies["webhooks"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"


def test_a_server_is_drained_before_it_ends_and_some_always_stay() -> None:
    deployments = {each["metadata"]["name"]: each["spec"] for each in manifests("Deployment")}
    budgets = [each["spec"]["selector"] for each in manifests("PodDisruptionBudget")]
    for spec in deployments.values():
        assert spec["replicas"] >= 2
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert spec["selector"] in budgets
        deadline = Settings.model_fields["request_deadline"].default
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > deadline + 6
    server = deployments["cardvault-servers"]["template"]["spec"]["containers"][0]
    assert server["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert server["livenessProbe"]["httpGet"]["path"] == "/healthz"


@pytest.mark.parametrize("folder", ["compose", "kubernetes"])
def test_settings_and_commands_exist(folder: str) -> None:
    named: set[str] = set()
    commands: list[list[str]] = []
    for each in documents(folder):
        for container in each.get("services", {}).values():
            named |= set(container.get("environment", {}))
            commands.append(container.get("command", []))
        named |= set(each.get("data", {}))
    for pod in pods():
        for container in pod["spec"]["containers"]:
            named |= {variable["name"] for variable in container.get("env", [])}
            commands.append(container["args"])
    assert {name for name in named if name.startswith("CARDVAULT_") and not is_setting(name)} == set()
    assert {command[0] for command in commands if command} - {"postgres"} <= set(main.commands)


@pytest.mark.parametrize("other", ["gateway", "kms"])
def test_code_and_network_let_the_vault_out_to_the_same_addresses(other: str) -> None:
    """NET-2."""
    [policy] = [each["spec"] for each in manifests("NetworkPolicy") if each["metadata"]["name"] == other]
    [rule] = policy["egress"]
    settings = manifests("ConfigMap")[0]["data"]
    assert ",".join(each["ipBlock"]["cidr"] for each in rule["to"]) == settings[f"CARDVAULT_{other.upper()}_NETWORKS"]
    assert [port["port"] for port in rule["ports"]] == [443]


def test_servers_have_not_the_login_of_workers() -> None:
    """The sequencer's rights on the audit log are the workers' alone."""
    deployments = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in manifests("Deployment")}
    mounted = {
        name: [each["secret"]["secretName"] for each in spec["volumes"] if each["name"] == "database"]
        for name, spec in deployments.items()
    }
    assert mounted == {"cardvault-servers": ["cardvault-server"], "cardvault-worker": ["cardvault-background"]}
    for unit, login in zip(UNITS, ("server", "background"), strict=True):
        lines = (DEPLOY / "systemd" / unit).read_text().splitlines()
        assert f"LoadCredentialEncrypted=database-url:/etc/credstore.encrypted/cardvault.{login}-database-url" in lines
    services = next(documents("compose"))["services"]
    for service in services.values():
        match service.get("command"):
            case ["serve", *_]:
                assert "//cardvault_server:" in service["environment"]["CARDVAULT_DATABASE_URL"]
            case ["worker"]:
                assert "//cardvault_background:" in service["environment"]["CARDVAULT_DATABASE_URL"]


def test_monitoring_is_let_in_by_network_and_by_setting() -> None:
    (settings,) = manifests("ConfigMap")
    assert not settings["data"]["CARDVAULT_METRICS_NETWORKS"].startswith("127.")


def test_containers_of_the_trial_may_do_nothing_but_run() -> None:
    services = next(documents("compose"))["services"]
    for name, service in services.items():
        if name == "database":
            assert service["networks"] == ["database"]
            assert "ports" not in service
            continue
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    servers = [name for name, service in services.items() if service.get("command", [""])[0] == "serve"]
    assert len(servers) == 2
    assert next(documents("compose"))["networks"]["database"] == {"internal": True}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_keeps_its_process_in(name: str, tmp_path: Path) -> None:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    kept = {"LimitCORE=0", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "IPAddressDeny=any"}
    assert kept <= set(lines)
    assert not [line for line in lines if "CARDVAULT_" in line and not _names_a_setting(line)]
    if shutil.which("systemd-analyze"):
        unit = tmp_path / name.replace("@", "@8080")
        unit.write_text("\n".join(lines))
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
        judged = subprocess.run(command, capture_output=True, text=True, check=False)
        assert judged.returncode == 0, judged.stdout[-200:] + judged.stderr


def _names_a_setting(line: str) -> bool:
    return line.startswith("#") or is_setting(line.removeprefix("Environment=").partition("=")[0])

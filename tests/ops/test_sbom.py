"""The bill of materials that `make sbom` writes."""

import re
import tomllib

import pytest

from ops.refusal import Refused
from ops.sbom import bill
from tests.docs.guide import ROOT

PROJECT = {"name": "cardvault", "version": "0.1.0"}


def test_every_locked_package_is_in_the_bill_with_its_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    made = bill(lock, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])
    assert [made["bomFormat"], made["specVersion"], made["metadata"]["component"]["name"]] == [
        "CycloneDX",
        "1.6",
        "cardvault",
    ]
    packages = re.findall(r"^([\w.-]+)==([^ ;\\]+)", lock, re.MULTILINE)
    assert [(each["name"], each["version"]) for each in made["components"]] == packages
    assert sum(len(each["hashes"]) for each in made["components"]) == lock.count("--hash=")
    references = [each["bom-ref"] for each in made["components"]]
    assert len(set(references)) == len(references)
    assert made["dependencies"] == [{"ref": "cardvault", "dependsOn": references}]


def test_a_package_is_named_as_package_urls_are() -> None:
    made = bill(f"Typing_Extensions==4.1 ; python_version < '4' \\\n    --hash=sha256:{'a' * 64}\n", PROJECT)
    assert made["components"][0]["purl"] == "pkg:pypi/typing-extensions@4.1"


def test_a_package_without_a_hash_is_refused() -> None:
    lock = f"one==1 \\\n    --hash=sha256:{'a' * 64}\ntwo==2\n"
    with pytest.raises(Refused, match="make lock"):
        bill(lock, PROJECT)

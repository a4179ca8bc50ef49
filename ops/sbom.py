"""What a release is made of, as a CycloneDX bill of materials: `python -m ops.sbom requirements.lock`.

It refuses to know what is installed. Invariants: each locked package is in it once, with the hashes that installing
insists on; the same lock file gives the same octets.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ops.refusal import Refused

_PACKAGE: Final = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def bill(lock: str, project: dict[str, Any]) -> dict[str, Any]:
    """Make the bill of a lock file with hashes for a project (PEP 621); raises `Refused` for a package without one."""
    product = {"type": "application", "name": project["name"], "version": project["version"]}
    product |= {"bom-ref": product["name"], "purl": _purl(product["name"], product["version"])}
    components = list(_components(lock))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": product},
        "components": components,
        "dependencies": [{"ref": product["name"], "dependsOn": [each["bom-ref"] for each in components]}],
    }


def _components(lock: str) -> Iterator[dict[str, Any]]:
    found = list(_PACKAGE.finditer(lock))
    ends = [*(each.start() for each in found[1:]), len(lock)]
    for package, end in zip(found, ends, strict=True):
        name, version = package["name"], package["version"]
        hashes = _HASH.findall(lock, package.start(), end)
        if not hashes:
            raise Refused(f"{name} is locked without a hash; make the lock file again with make lock")
        yield {
            "type": "library",
            "bom-ref": _purl(name, version),
            "name": name,
            "version": version,
            "purl": _purl(name, version),
            "hashes": [{"alg": "SHA-256", "content": each} for each in hashes],
        }


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"


if __name__ == "__main__":
    described = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    json.dump(bill(Path(sys.argv[1]).read_text(), described), sys.stdout, indent=2)
    sys.stdout.write("\n")

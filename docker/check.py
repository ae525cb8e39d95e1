"""Checks what no engine is needed for: compose.yaml's shape, and that its settings are settings (given a binary)."""

import os
import pathlib
import re
import subprocess
import sys

from ruamel.yaml import YAML

HERE = pathlib.Path(__file__).resolve().parent
compose = YAML(typ="safe").load((HERE / "compose.yaml").read_text())
services = compose["services"]
problems = []


def expect(right, message):
    if not right:
        problems.append(message)


for name, service in services.items():
    image = service["image"]
    ours = "build" in service or any(s.get("build") and s["image"] == image for s in services.values())
    expect(ours or re.search(r":v?\d+\.\d+", image), f"{name}: {image} is not pinned to a version")
    expect(
        service.get("read_only") and service.get("cap_drop") == ["ALL"],
        f"{name}: may write outside its volumes, or has capabilities",
    )
    expect(ours or "healthcheck" in service, f"{name}: has no health check")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        there = (HERE / source).exists() if source.startswith(".") else source in compose["volumes"]
        expect(there, f"{name}: volume {source} does not exist")
    for dependency in service.get("depends_on", {}):
        expect(dependency in services, f"{name}: depends on {dependency}, which does not exist")
    for port in service.get("ports", []):
        expect(port.startswith("127.0.0.1:"), f"{name}: publishes {port} on every address")

for dockerfile in sorted(HERE.glob("*.Dockerfile")):
    text = dockerfile.read_text()
    final = text[text.rindex("\nFROM ") :]
    expect(re.search(r"^USER (?!0\b|root)", final, re.M), f"{dockerfile.name}: runs as root")
    expect("HEALTHCHECK" in final, f"{dockerfile.name}: has no health check")
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.M):
        expect((HERE.parent / source).exists(), f"{dockerfile.name}: copies {source}, which does not exist")

if len(sys.argv) > 1:  # the binary: are these settings ones it knows?
    for name in ("server", "worker"):
        given = dict(re.findall(r"(CHALKSTREAM__\w+)=(\S+)", (HERE / f"{name}.Dockerfile").read_text()))
        for key, value in services[name]["environment"].items():
            given[key] = re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1", value))
        plain = {key: value for key, value in os.environ.items() if not key.startswith("CHALKSTREAM__")}
        done = subprocess.run([sys.argv[1], "config", "check"], env={**plain, **given}, capture_output=True, text=True)
        expect(done.returncode == 0, f"{name}: {(done.stderr or done.stdout).strip()}")

# What is left after worker.drain_ms is handed back within six seconds, and the process ends.
defaults = (HERE.parent / "config/default.toml").read_text()
drain_s = int(re.search(r"^drain_ms = (\d+)$", defaults, re.M)[1]) / 1000
given_s = int(services["worker"]["stop_grace_period"].removesuffix("s"))
expect(given_s >= drain_s + 8, f"worker: stop_grace_period is {given_s} s, and worker.drain_ms {drain_s:.0f} s")

print("\n".join(problems) or f"docker/: {len(services)} services, nothing wrong")
sys.exit(bool(problems))

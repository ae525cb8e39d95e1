"""Checks what no engine is needed for: compose.yaml's shape, the alert rules and the dashboard's queries (by promtool), and
that settings are settings (given a binary)."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

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

def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    expect(done.returncode == 0, f"promtool {' '.join(arguments[:2])}: {(done.stdout + done.stderr).strip()}")


alerts = YAML(typ="safe").load((HERE / "prometheus/alerts.yml").read_text())
rules = [rule for group in alerts["groups"] for rule in group["rules"]]
dashboard = json.loads((HERE / "grafana/dashboard.json").read_text())
queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
expect(len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]), "dashboard.json: two panels have one id")
if shutil.which("promtool"):
    promtool("check", "rules", HERE / "prometheus/alerts.yml")
    promtool("test", "rules", HERE / "prometheus/alerts.test.yml")
    promtool("check", "config", HERE / "prometheus/prometheus.yml")
    # A query of the dashboard is checked as a rule that records it.
    recorded = [{"record": f"panel_{number}", "expr": query} for number, query in enumerate(queries)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        YAML(typ="safe").dump({"groups": [{"name": "dashboard", "rules": recorded}]}, file)
        file.flush()
        promtool("check", "rules", file.name)
else:
    expect(False, "promtool is not installed: run scripts/setup test, or install what brings it (Debian: package prometheus)")
runbook = set(re.findall(r"^## (\w+)$", (HERE.parent / "docs/guide/runbook.md").read_text(), re.M))
names = {rule["alert"] for rule in rules}
expect(names == runbook, f"docs/guide/runbook.md and alerts.yml differ in {sorted(names ^ runbook)}")
for rule in rules:
    address = f"docs/guide/runbook.md#{rule['alert'].lower()}"
    expect(rule["annotations"].get("runbook") == address, f"alerts.yml: {rule['alert']} does not name {address}")
    expect(rule["labels"].get("severity") in ("page", "ticket"), f"alerts.yml: {rule['alert']} has no severity")

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

print("\n".join(problems) or f"docker/: {len(services)} services, {len(rules)} alerts, {len(queries)} queries, nothing wrong")
sys.exit(bool(problems))

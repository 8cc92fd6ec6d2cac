#!/usr/bin/env python3
"""Makes a release. The workflow release.yml calls it; every command works without the network.

    release.py prepare VERSION                 writes the version into the tree and dates the changelog
    release.py check TAG                       the tag, the tree and the changelog have the same version
    release.py notes TAG                       prints the changelog's section
    release.py archive TAG TARGET PROGRAM OUT  packs the command line with its completions and man pages
    release.py checksums OUT                   writes OUT/SHA256SUMS over all files of OUT
    release.py dry-run TAG PROGRAM OUT         all of the above that changes nothing, and the chart where helm is in $HELM;
                                               a changelog without a section for the version is only a warning

TAG is v and a version; TARGET is a Rust target; PROGRAM is a compiled `tidegate` that runs on this machine.
"""

import datetime
import gzip
import hashlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERSION = r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?"

# Every place that names the version: the file, and a pattern whose one group is the version.
PLACES = [
    ("Cargo.toml", rf'(?m)^version = "({VERSION})"$'),
    ("charts/tidegate/Chart.yaml", rf"(?m)^version: ({VERSION})$"),
    ("charts/tidegate/Chart.yaml", rf"(?m)^appVersion: ({VERSION})$"),
    ("Dockerfile", rf"(?m)^ARG VERSION=({VERSION})$"),
    ("Dockerfile", rf"-t tidegate(?:-[a-z]+)?:({VERSION})"),
    ("docs/install.md", rf"tidegate(?:-\$target)?:({VERSION})"),
    ("docs/operator.md", rf"tidegate-gateway:({VERSION})"),
    ("examples/echo/backend.yaml", rf"image: tidegate:({VERSION})"),
    ("e2e/node/story/installation.py", rf"tidegate\.test/tidegate:({VERSION})"),
]
SHELLS = {"bash": "tidegate.bash", "zsh": "_tidegate", "fish": "tidegate.fish"}


class Fault(Exception):
    """Why there is no release: what to change."""


def version_of(tag):
    if not re.fullmatch("v" + VERSION, tag):
        raise Fault(f"{tag} is not a tag of a release: v1.2.3 or v1.2.3-rc.1")
    return tag[1:]


def members(root):
    """Names of the workspace's packages: Cargo.lock has each with its version."""
    manifest = (root / "Cargo.toml").read_text()
    folders = re.search(r"(?ms)^members = \[(.*?)\]", manifest).group(1)
    for folder in re.findall(r'"([^"]+)"', folders):
        yield re.search(r'(?m)^name = "([^"]+)"', (root / folder / "Cargo.toml").read_text()).group(1)


def places(root):
    yield from PLACES
    lock = (root / "Cargo.lock").read_text()
    for name in members(root):
        if f'name = "{name}"\n' in lock:
            yield "Cargo.lock", rf'(?m)^name = "{name}"\nversion = "({VERSION})"$'


def replace(text, pattern, version):
    def put(match):
        start, end = match.span(1)
        whole = match.group(0)
        return whole[: start - match.start()] + version + whole[end - match.start() :]

    return re.sub(pattern, put, text)


def prepare(root, version, today):
    version_of("v" + version)
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text()
    if f"\n## {version} " in text:
        raise Fault(f"CHANGELOG.md has {version} already")
    if "\n## Unreleased\n" not in text:
        raise Fault('CHANGELOG.md has no section "Unreleased"')
    changelog.write_text(text.replace("\n## Unreleased\n", f"\n## Unreleased\n\n## {version} - {today}\n", 1))
    for path, pattern in places(root):
        file = root / path
        file.write_text(replace(file.read_text(), pattern, version))


def check(root, tag):
    version = version_of(tag)
    faults = []
    for path, pattern in places(root):
        found = re.findall(pattern, (root / path).read_text())
        if not found:
            faults.append(f"{path}: no version matches {pattern}")
        faults += [f"{path}: {other}" for other in sorted(set(found)) if other != version]
    if faults:
        raise Fault(f"not {version}:\n  " + "\n  ".join(faults))
    return version


def notes(root, version):
    text = (root / "CHANGELOG.md").read_text()
    section = re.search(rf"(?ms)^## {re.escape(version)} - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)", text)
    if not section or not section.group(1).strip():
        raise Fault(f'CHANGELOG.md has no section "{version} - DATE" with text: run release.py prepare {version}')
    return section.group(1).strip() + "\n"


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def contents(root, program):
    """Files of an archive: name inside, bytes, mode."""
    yield "tidegate", pathlib.Path(program).read_bytes(), 0o755
    for name in ["LICENSE", "README.md", "CHANGELOG.md"]:
        yield name, (root / name).read_bytes(), 0o644
    for shell, name in SHELLS.items():
        yield f"completions/{name}", run(program, "completion", shell), 0o644
    with tempfile.TemporaryDirectory() as pages:
        run(program, "man", pages)
        for page in sorted(pathlib.Path(pages).iterdir()):
            yield f"man/man1/{page.name}", page.read_bytes(), 0o644


def archive(root, version, target, program, out):
    """The same byte for byte when its inputs are."""
    said = run(program, "--version").decode().split()
    if said[-1] != version:
        raise Fault(f"{program} is version {said[-1]}, not {version}")
    name = f"tidegate-{version}-{target}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, data, mode in contents(root, program):
            info = tarfile.TarInfo(f"{name}/{path}")
            info.size, info.mode = len(data), mode
            info.mtime = int(os.environ.get("SOURCE_DATE_EPOCH", 0))
            tar.addfile(info, io.BytesIO(data))
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(out) / f"{name}.tar.gz"
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    return path


def checksums(out):
    files = sorted(path for path in pathlib.Path(out).iterdir() if path.is_file() and path.name != "SHA256SUMS")
    if not files:
        raise Fault(f"{out} is empty")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (pathlib.Path(out) / "SHA256SUMS").write_text("".join(lines))
    return lines


def dry_run(root, tag, program, out):
    version = check(root, tag)
    print(f"release.py: the tree is {version}")
    try:
        text = notes(root, version)
        print(f"release.py: notes of {len(text.splitlines())} lines")
    except Fault as fault:
        print(f"release.py: WARNING: {fault}", file=sys.stderr)
    target = re.search(r"(?m)^host: (.+)$", run("rustc", "-vV").decode()).group(1)
    print(f"release.py: {archive(root, version, target, program, out)}")
    helm = os.environ.get("HELM")
    if helm:
        run(helm, "package", str(root / "charts/tidegate"), "--destination", str(out))
    else:
        print("release.py: WARNING: no chart, HELM is not set", file=sys.stderr)
    print("".join(checksums(out)), end="")


def main(arguments):
    match arguments:
        case ["prepare", version]:
            prepare(ROOT, version, datetime.date.today())
        case ["check", tag]:
            notes(ROOT, check(ROOT, tag))
        case ["notes", tag]:
            print(notes(ROOT, version_of(tag)), end="")
        case ["archive", tag, target, program, out]:
            print(archive(ROOT, check(ROOT, tag), target, program, out))
        case ["checksums", out]:
            checksums(out)
        case ["dry-run", tag, program, out]:
            dry_run(ROOT, tag, program, out)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Fault as fault:
        sys.exit(f"release.py: {fault}")

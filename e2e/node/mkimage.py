#!/usr/bin/env python3
"""Makes an OCI image archive of one layer from local files, without a daemon.

    mkimage.py [--user UID[:GID]] [--libraries] NAME OUT SOURCE=DEST… -- ENTRYPOINT…

SOURCE is a file, a symbolic link (followed) or a directory. With --libraries each file's shared libraries are taken
along, from where this machine finds them. `ctr images import` reads the archive; it is the same byte for byte when its
inputs are.
"""

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def folder(tar, name, made, mode=0o755):
    if name not in made:
        made.add(name)
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, mode
        tar.addfile(info)


def add(tar, source, dest, made):
    parts = dest.strip("/").split("/")
    for i in range(1, len(parts)):
        folder(tar, "/".join(parts[:i]), made)
    if os.path.isdir(source):
        for name in sorted(os.listdir(source)):
            add(tar, os.path.join(source, name), dest + "/" + name, made)
        return
    path = "/".join(parts)
    if path in made:
        return
    made.add(path)
    with open(os.path.realpath(source), "rb") as file:
        info = tarfile.TarInfo(path)
        stat = os.fstat(file.fileno())
        # Nothing else of the entry, so that two builds are the same.
        info.size, info.mode = stat.st_size, stat.st_mode & 0o777 | 0o444
        tar.addfile(info, file)


def libraries(program):
    """Paths of the shared libraries of a program, its loader included. None for a static one."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True)
    if "not found" in said.stdout:
        sys.exit(f"mkimage.py: {program} misses libraries:\n{said.stdout}")
    return sorted(set(re.findall(r"(/\S+) \(0x", said.stdout)))


def layer(files, with_libraries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        made = set()
        folder(tar, "tmp", made, 0o1777)
        for pair in files:
            source, dest = pair.split("=", 1)
            add(tar, source, dest, made)
            if with_libraries and os.path.isfile(source):
                for library in libraries(source):
                    add(tar, library, library, made)
    return buffer.getvalue()


def blob(tar, data, kind, **more):
    digest = hashlib.sha256(data).hexdigest()
    put(tar, f"blobs/sha256/{digest}", data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}


def put(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def encode(value):
    return json.dumps(value, sort_keys=True).encode()


def main():
    argv = sys.argv[1:]
    if "--" not in argv:
        sys.exit(__doc__)
    cut = argv.index("--")
    ap = argparse.ArgumentParser()
    ap.add_argument("--user", default="")
    ap.add_argument("--libraries", action="store_true")
    ap.add_argument("name")
    ap.add_argument("out")
    ap.add_argument("files", nargs="*")
    args = ap.parse_args(argv[:cut])

    machine = os.uname().machine
    data = layer(args.files, args.libraries)
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "os": "linux",
        "config": {"Entrypoint": argv[cut + 1 :], "User": args.user},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest()]},
    }
    with tarfile.open(args.out + ".part", "w", format=tarfile.GNU_FORMAT) as tar:
        put(tar, "oci-layout", encode({"imageLayoutVersion": "1.0.0"}))
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blob(tar, encode(config), CONFIG),
            "layers": [blob(tar, data, LAYER)],
        }
        named = {"io.containerd.image.name": args.name, "org.opencontainers.image.ref.name": args.name}
        entry = blob(tar, encode(manifest), MANIFEST, annotations=named)
        put(tar, "index.json", encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}))
    os.replace(args.out + ".part", args.out)


main()

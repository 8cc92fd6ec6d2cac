"""Processes of the node, seen from this machine: by their ids, never by a broad name."""

import os
from pathlib import Path

WORK = Path(os.environ["WORK"])


def first():
    """The node's first process."""
    for line in (WORK / "pids").read_text().splitlines():
        name, pid, _ = line.split()
        if name == "node":
            return int(pid)
    raise LookupError("no node runs")


def children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def daemon(name):
    """The id of one of the node's daemons: a child of its first process."""
    for pid in children(first()):
        if Path(f"/proc/{pid}/comm").read_text().strip() == name:
            return pid
    raise LookupError(f"no {name} runs")


def program_of(pod_uid, name):
    """The id of the process that runs /bin/NAME in a pod."""
    marks = (pod_uid, pod_uid.replace("-", "_"))
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")[0].decode()
            groups = (entry / "cgroup").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if command == f"/bin/{name}" and any(mark in groups for mark in marks):
            return int(entry.name)
    raise LookupError(f"no {name} in pod {pod_uid}")

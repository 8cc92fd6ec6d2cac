"""The README's commands from `helm install` to a wscat session, run exactly as they stand there."""

import asyncio
import os
import pty
import re
import shlex
import signal

from cluster import HELM, KUBECTL, ROOT, Failure, kubectl, until
from node import WORK

HEADING = "## On a cluster"


def commands():
    """The first block of commands under the heading, each with the lines that continue it."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"```sh\n(.*?)```", text.split(f"\n{HEADING}\n")[1], re.S)[1]
    return [each for each in re.split(r"(?<!\\)\n", block) if each.strip()]


async def removing_everything_as_the_documentation_says(_):
    """docs/install.md, after `helm uninstall`: the next step begins with an empty cluster."""
    text = (ROOT / "docs/install.md").read_text().split("\n## Uninstall\n")[1]
    removal = re.findall(r"`(kubectl delete [^`]+)`", text)
    if len(removal) != 2:
        raise Failure(f"in docs/install.md: {removal}")
    for command in removal:
        await asyncio.to_thread(kubectl, *shlex.split(command)[1:])
    # Owner references do the rest.
    await until(
        60,
        "the pods of all gateways have gone",
        lambda: not kubectl("get", "pods", "-A", "-l", "app.kubernetes.io/name=tidegate-gateway", "-o", "name").strip(),
    )


class Terminal:
    """A shell at a terminal, which wscat wants to have, that reads commands as somebody pastes them."""

    async def __aenter__(self):
        # The README's names of the programs, and no way to others of these names.
        programs = WORK / "terminal"
        programs.mkdir()
        for name, path in [("helm", HELM), ("kubectl", KUBECTL), ("wscat", os.environ["WSCAT"])]:
            (programs / name).symlink_to(path)
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TERM": "dumb"}
        self.near, far = pty.openpty()
        self.shell = await asyncio.create_subprocess_exec(
            *("bash", "--norc", "--noprofile", "--noediting"),
            cwd=ROOT,
            env=environment,
            stdin=far,
            stdout=far,
            stderr=far,
            start_new_session=True,
            # The first terminal that a session opens is the one that controls it.
            preexec_fn=lambda: os.close(os.open(os.ttyname(far), os.O_RDWR)),
        )
        os.close(far)
        self.reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(self.reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(os.dup(self.near), "rb", 0))
        self.text = ""
        return self

    async def __aexit__(self, *_):
        # As when its window is closed: the shell ends its jobs, the forwarded port among them.
        self.shell.send_signal(signal.SIGHUP)
        await asyncio.wait_for(self.shell.wait(), 10)
        os.close(self.near)

    def type(self, line):
        os.write(self.near, f"{line}\n".encode())

    async def see(self, what, seconds):
        """Reads on until `what`, a regular expression, is there; forgets what came before."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := re.search(what, self.text)):
                    more = await self.reader.read(4096)
                    if not more:
                        raise Failure(f"the shell ended before {what!r}: {self.text}")
                    self.text += more.decode(errors="replace")
        except TimeoutError:
            raise Failure(f"{what!r}: not within {seconds} s; there is: {self.text}") from None
        self.text = self.text[found.end() :]
        return found


async def the_readmes_five_commands_end_in_a_wscat_session(_):
    steps = commands()
    if len(steps) != 5 or not steps[0].startswith("helm install") or not steps[-1].startswith("wscat"):
        raise Failure(f"in README.md under {HEADING!r}: {steps}")
    async with Terminal() as terminal:
        for step in steps[:-1]:
            terminal.type(step)
            if step.endswith("&"):
                await terminal.see("Forwarding from", 30)
                continue
            terminal.type("echo ended with $?.")
            ended = await terminal.see(r"ended with (\d+)\.", 150)
            if ended[1] != "0":
                raise Failure(f"{step}: ended with {ended[1]}")
        terminal.type(steps[-1])
        await terminal.see("Connected", 30)
        terminal.type("hello from the README")
        await terminal.see("< hello from the README", 10)
    return "helm install … wscat"

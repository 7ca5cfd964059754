"""A real SLURM of two nodes on this machine, for tests.

Each node is a network namespace with an address and a host name of its own; they share the file
system, as the nodes of a cluster do. It takes root, Debian's slurm-wlm, munge and iproute2, and a
system that allows namespaces; `why_not` says what is missing.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NODES = ("n1", "n2")

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "ip", "nsenter", "unshare")

_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={controller}({address}.1)
SlurmctldPort={port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ReturnToService=2
KillWait=10
OverTimeLimit=0
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# A job that was requeued begins again at once, and not after the two minutes of a real cluster.
SchedulerParameters=sched_interval=1,bf_interval=1,requeue_delay=0
MailProg=/bin/true
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""


def why_not() -> str:
    """Why no SLURM can be had here; empty where one can."""
    missing = [name for name in _PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"{', '.join(missing)} missing: apt-get install slurm-wlm munge iproute2"
    if os.geteuid() != 0:
        return "SLURM's daemons and network namespaces take root"
    name = f"mriseg-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        return "this system allows no network namespaces"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return ""


@dataclass(frozen=True)
class Job:
    """A job that ended.

    Attributes:
        state: as SLURM calls it, "COMPLETED" for instance.
        exit_code: of its script.
        restarts: how often it was requeued.
    """

    state: str
    exit_code: int
    restarts: int


@dataclass(frozen=True)
class Cluster:
    """A SLURM that runs.

    Attributes:
        folder: of its files.
        environment: in which its commands are run.
        addresses: of the nodes, by name.
        interface: name of the network interface by which the nodes and this machine meet.
    """

    folder: Path
    environment: dict[str, str]
    addresses: dict[str, str]
    interface: str

    def submit(self, *words: str | Path, cwd: Path) -> str:
        """Submit a script; the job's number."""
        done = self.run("sbatch", "--parsable", *words, cwd=cwd)
        return done.strip().partition(";")[0]

    def run(self, *words: str | Path, cwd: Path | None = None) -> str:
        """Run one of SLURM's commands; what it prints."""
        done = subprocess.run(
            [*map(str, words)],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def facts(self, job: str) -> dict[str, str]:
        """What SLURM knows of a job; of an array's, of its first task."""
        text = self.run("scontrol", "--oneliner", "show", "job", job).splitlines()[0]
        return dict(word.partition("=")[::2] for word in text.split())

    def state(self, job: str) -> str:
        """How a job is."""
        return self.facts(job)["JobState"]

    def wait(self, job: str, seconds: float = 300) -> Job:
        """Wait until a job has ended."""
        until(lambda: self.state(job) not in _LIVING, seconds, f"job {job} to end")
        facts = self.facts(job)
        return Job(
            facts["JobState"], int(facts["ExitCode"].partition(":")[0]), int(facts["Restarts"])
        )


_LIVING = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "SUSPENDED", "STOPPED"}


def until(reached: object, seconds: float, what: str) -> None:
    """Wait until a function gives something true."""
    assert callable(reached)
    last = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < last, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A SLURM whose files are in a new ``folder``, with a short path that all may enter."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        network = stack.enter_context(_network())
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("SLURM")},
            "PATH": _path(),
            "SLURM_CONF": str(folder / "slurm.conf"),
        }
        addresses = {name: f"{network.address}.{11 + n}" for n, name in enumerate(NODES)}
        _configure(folder, network.address, addresses)
        stack.enter_context(_munge(folder))
        stack.enter_context(_daemons(folder, network, environment))
        running = Cluster(folder, environment, addresses, network.interface)
        until(
            lambda: running.run("sinfo", "--noheader", "--format=%T %D").startswith("idle 2"),
            30,
            "both nodes to be idle",
        )
        yield running


@contextmanager
def ready() -> Iterator[Cluster]:
    """A SLURM whose jobs run under what these tests run under."""
    # munged and slurmctld want a folder whose parents only root writes to, and a short path.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    try:
        with cluster(folder / "etc") as running:
            # As after `source bin/activate`.
            path = os.pathsep.join([str(Path(sys.executable).parent), running.environment["PATH"]])
            root = str(Path(__file__).resolve().parent.parent)
            running.environment.update(PATH=path, OMP_NUM_THREADS="1", PYTHONPATH=root)
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Network:
    """Its first three numbers, its interface's name, and the namespace of each node."""

    address: str
    interface: str
    namespaces: dict[str, str]


@contextmanager
def _network() -> Iterator[_Network]:
    mark = secrets.token_hex(2)
    bridge, address = f"mrb{mark}", f"10.77.{secrets.randbelow(250) + 1}"
    namespaces = {name: f"mr{mark}{name}" for name in NODES}
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("address", "add", f"{address}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, (name, space) in enumerate(namespaces.items()):
            end = f"mrv{mark}{name}"
            _ip("netns", "add", space)
            # By the same name, since an executor is told of one interface.
            _ip("link", "add", end, "type", "veth", "peer", "name", bridge, "netns", space)
            _ip("link", "set", end, "master", bridge, "up")
            _ip("-n", space, "address", "add", f"{address}.{11 + number}/24", "dev", bridge)
            _ip("-n", space, "link", "set", bridge, "up")
            _ip("-n", space, "link", "set", "lo", "up")
        yield _Network(address, bridge, namespaces)
    finally:
        for space in namespaces.values():
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _configure(folder: Path, address: str, addresses: dict[str, str]) -> None:
    for name in ("state", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir()
    cores = os.cpu_count() or 1
    # More than there are, so that jobs of several processes fit.
    nodes = [
        f"NodeName={name} NodeAddr={where} CPUs={max(cores, 4)} RealMemory=8000 State=UNKNOWN"
        for name, where in addresses.items()
    ]
    port = _free_port()
    text = _CONFIGURATION.format(
        controller=socket.gethostname().partition(".")[0],
        address=address,
        port=port,
        slurmd_port=port + 1,
        folder=folder,
        nodes="\n".join(nodes),
    )
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    hosts = ["127.0.0.1 localhost", *(f"{where} {name}" for name, where in addresses.items())]
    (folder / "hosts").write_text("\n".join([*hosts, ""]), encoding="utf-8")


@contextmanager
def _munge(folder: Path) -> Iterator[None]:
    """The service by which SLURM's daemons know one another, with a key of its own."""
    own = folder / "munge"
    own.mkdir(mode=0o700)
    key = own / "key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    process = subprocess.Popen(
        [
            *("munged", "--foreground", "--force", f"--key-file={key}"),
            *(f"--socket={folder}/munge.socket", f"--pid-file={own}/pid"),
            *(f"--log-file={own}/log", f"--seed-file={own}/seed"),
        ],
        env={**os.environ, "PATH": _path()},
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: (folder / "munge.socket").exists(), 10, "munged")
        yield
    finally:
        _end([process])


@contextmanager
def _daemons(folder: Path, network: _Network, environment: dict[str, str]) -> Iterator[None]:
    file = str(folder / "slurm.conf")
    commands = [["slurmctld", "-D", "-c", "-f", file]]
    for name, space in network.namespaces.items():
        # The mount is the node's own, so that it finds the other by name.
        begin = (
            f"mount --bind {folder}/hosts /etc/hosts && hostname {name} && exec slurmd -D -f {file}"
        )
        inside = ["nsenter", f"--net=/run/netns/{space}", "unshare", "--uts", "--mount"]
        commands.append([*inside, "sh", "-c", begin])
    processes = []
    try:
        for command in commands:
            processes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        yield
    finally:
        subprocess.run(
            ["scancel", "--user=root", "--signal=KILL", "--full"],
            env=environment,
            capture_output=True,
            timeout=30,
        )
        _end(processes)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


def _path() -> str:
    # Daemons are in sbin, which not every user's PATH has.
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

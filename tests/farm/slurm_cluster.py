"""A real Slurm of one controller and two nodes on this machine, in a folder of its own, on loopback ports.

Debian: ``apt-get install --no-install-recommends slurmctld slurmd slurm-client munge``; it must run as root.
Run this file with a FOLDER to start one: it says how to talk to it, until Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo")
NODES = ("n1", "n2")
_STARTS_WITHIN = 60.0
_CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=1 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=1 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    absent = [name for name in PROGRAMS if _program(name) is None]
    if absent:
        return f"Slurm is not installed ({', '.join(absent)})"
    return "" if os.geteuid() == 0 else "a cluster of one's own takes root"


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Cluster:
    """Use as a context manager. ``environment``: what ``sbatch`` and the like need to find it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> Cluster:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self._folder / name).mkdir(exist_ok=True)
        controller, first, second = _free_ports(3)
        config = _CONFIG.format(
            folder=self._folder, host=socket.gethostname(), controller=controller, first=first, second=second
        )
        (self._folder / "slurm.conf").write_text(config)
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start_all(self) -> None:
        folder = self._folder
        self.run("mungekey", "--create", f"--keyfile={folder}/munge.key")
        names = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("key-file", "pid-file", "log-file")]
        self._start("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *names)
        _until(lambda: (folder / "munge.socket").exists())
        self._start("slurmctld", "-D")
        for node in NODES:
            self._start("slurmd", "-D", "-N", node)
        _until(lambda: self.run("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(NODES))

    def _start(self, name: str, *arguments: str) -> None:
        log = (self._folder / f"{name}.out").open("ab")
        program = _program(name)
        assert program is not None
        self._processes.append(
            subprocess.Popen(
                [program, *arguments], stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        )

    def run(self, name: str, *arguments: str) -> str:
        """What a client program prints; empty while the controller does not answer."""
        program = _program(name)
        assert program is not None
        return subprocess.run([program, *arguments], capture_output=True, text=True, env=self.environment).stdout

    def wait(self, seconds: float = 300.0) -> None:
        """Until no job is left in the queue."""
        _until(lambda: not self.run("squeue", "-h").strip(), seconds)

    def __exit__(self, *raised: object) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self._processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def _until(what, seconds: float = _STARTS_WITHIN) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError("Slurm did not get there")
        time.sleep(0.3)


if __name__ == "__main__":
    with Cluster(Path(sys.argv[1]).absolute()) as cluster:
        print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}", flush=True)  # noqa: T201
        signal.pause()

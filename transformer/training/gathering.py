"""How the processes of a run find each other: by three flags, or by what their launcher tells.

The launchers are those that jax knows: Slurm, Open MPI, Kubernetes jobs (GKE), TPU pods. Process 0
listens at the address that all are given, so that one that does not come can be named; jax's own
service then gets a free port beside it.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys

from transformer.error import UserError
from transformer.training import switchboard
from transformer.training.hosts import Alone, Hosts

WAIT = 60  # seconds for all processes to come
HEARTBEAT = 100  # seconds of silence after which jax's service takes a process for dead


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a program that runs on several hosts."""
    group = parser.add_argument_group(
        "several processes", "one on each host, or one for each GPU; found by itself on Slurm, "
        "Open MPI, Kubernetes and TPU pods")
    group.add_argument("--coordinator", metavar="HOST:PORT",
                       help="where process 0 listens, as the others reach it")
    group.add_argument("--processes", type=int, metavar="N",
                       help="how many there are; 1 ignores the launcher")
    group.add_argument("--process", type=int, metavar="I", help="which one this is, 0 to N - 1")
    group.add_argument("--wait", type=float, default=WAIT, metavar="SECONDS",
                       help="for all to come, before those missing are named (default: "
                            "%(default)s)")
    group.add_argument("--heartbeat", type=int, default=HEARTBEAT, metavar="SECONDS",
                       help="silence after which a process that still runs counts as dead "
                            "(default: %(default)s)")


def gathered(options) -> Alone | Hosts:
    """All processes of the run, once every one has come. Call it before jax is used.

    Args:
      options: what `add_flags` parsed.

    Raises:
      UserError: flags that do not fit together; who has not come.
    """
    address, count, number, devices = _flags(options) or _launcher(options.wait)
    if count == 1:
        return Alone()
    import jax

    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    me = switchboard.myself(number, count)
    if number == 0:
        word = f"{address[:-len(port)]}{_free_port()}"
        lines = {caller.number: (caller, line) for caller, line in
                 switchboard.answer(int(port), count, options.wait, [word, me])}
    else:
        (word, caller), line = switchboard.call((host, int(port)), me, options.wait)
        lines = {0: (switchboard.Caller(*caller), line)}
    hosts = Hosts(me, lines)
    sys.stdout = hosts.screen or sys.stdout  # process 0 tells people
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from us
    jax.distributed.initialize(word, count, number, local_device_ids=devices,
                               cluster_detection_method="deactivate",
                               heartbeat_timeout_seconds=options.heartbeat)
    return hosts


def _flags(options):
    """(address, count, number, local devices) by the flags; None without any."""
    if options.processes == 1:
        return "", 1, 0, None
    given = options.coordinator, options.processes, options.process
    if given == (None, None, None):
        return None
    if None in given:
        raise UserError("--coordinator=HOST:PORT, --processes=N and --process=I go together")
    address, count, number = given
    if not address.rpartition(":")[0] or not address.rpartition(":")[2].isdigit():
        raise UserError(f"--coordinator={address} is not HOST:PORT, such as node1:8476")
    if not 0 <= number < count:
        raise UserError(f"--process={number} of --processes={count}; they count from 0 to N - 1")
    return address, count, number, None


def _launcher(wait: float):
    """The same as the launcher has it; one process where there is none."""
    if not _launched():
        return "", 1, 0, None
    from jax._src.clusters import ClusterEnv

    try:
        found = ClusterEnv.auto_detect_unset_distributed_params(
            None, None, None, None, None, int(wait))
    except Exception as error:  # each launcher fails in its own way
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"the launcher does not say which process this is: {line}; give "
                        "--coordinator, --processes and --process, or --processes=1 for a run "
                        "of one process") from error
    return found if None not in found[:3] else ("", 1, 0, None)


def _launched() -> bool:
    """Whether the environment looks as if there were several processes; asks nobody."""
    from jax._src.cloud_tpu_init import running_in_cloud_tpu_vm

    several = lambda name: os.environ.get(name, "1").isdigit() and int(os.environ.get(name, 1)) > 1
    return (several("SLURM_NTASKS") or several("OMPI_COMM_WORLD_SIZE")
            or "JOB_COMPLETION_INDEX" in os.environ or running_in_cloud_tpu_vm)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]

"""Issuing bootstrap credentials for a whole fleet, in parallel processes: what is issued already is kept."""

from __future__ import annotations

import csv
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import batched
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Final

from fleetcert.certificates import CertificateAuthority, pem_chain, pem_private_key
from fleetcert.device.credential import Credential
from fleetcert.onboarding.bootstrap import DeviceOptions, issue_or_keep
from fleetcert.onboarding.inventory import InventoryLine, write_inventory
from fleetcert.onboarding.issuing import check_not_ended
from fleetcert.onboarding.keys import signature_hash
from fleetcert.onboarding.roster import Device, Rejected, Roster
from fleetcert.onboarding.steps import Verdict
from fleetcert.onboarding.workspace import DeviceFiles, Workspace
from shared.errors import FleetcertError, NotPossible

BATCH: Final = 20
"""Devices that a process takes at a time: few enough for a lively bar, enough to forget what a task costs."""

type Mapper = Callable[[Callable[[Job], Results], Iterable[Job]], Iterable[Results]]
"""Like `map`: in this process, or in several."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A device that has its credential."""

    verdict: Verdict
    entry: InventoryLine


type Results = Sequence[Issued | Rejected]


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is given. It crosses to our own children by a pipe; the CA's key is never on the disk for it."""

    folder: Path
    devices: Sequence[Device]
    options: DeviceOptions
    authority_key: bytes = field(repr=False)
    authority_chain: bytes


@dataclass(slots=True)
class Tally:
    """What came of a fleet. rejected: the roster's, and those of devices that could not be issued."""

    made: int = 0
    kept: int = 0
    rejected: list[Rejected] = field(default_factory=list)


class WorkersEnded(FleetcertError):
    """A process was ended from outside, for example for want of memory. What is issued is kept."""


def issue_fleet(
    roster: Roster,
    folder: Path,
    inventory: Path,
    authority: CertificateAuthority,
    options: DeviceOptions,
    mapper: Mapper,
    progress: Callable[[int], None],
) -> Tally:
    """A credential for each device, in `{folder}/{registration id}/`, and the inventory of all of them.

    progress: told how many more devices are done. The inventory is written new each time, from the certificates that
    were made and found. Raises: WorkersEnded, NotPossible where a CA has ended.
    """
    check_not_ended(authority)
    tally = Tally(rejected=list(roster.rejected))
    jobs = _jobs(roster.devices, folder, authority, options)
    write_inventory(inventory, _entries(mapper(work, jobs), tally, progress))
    tally.rejected.sort(key=lambda one: one.line)
    return tally


def work(job: Job) -> Results:
    """Issues for the devices of one job. One that cannot be issued does not stop the others."""
    authority = _authority(job.authority_key, job.authority_chain)
    workspace = Workspace(job.folder)
    return [_issue(device, workspace, authority, job.options) for device in job.devices]


@contextmanager
def processes(count: int) -> Iterator[Mapper]:
    """Maps over that many processes; this one alone where it is 1.

    They are started afresh: forking beside the thread of a progress bar may lock up. Ctrl-C is for the parent: it hands
    out no more, and they end what they are at. A parent that is killed takes them with it.
    """
    if count == 1:
        yield map
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_belong_to_the_parent)
    try:
        yield pool.map
    except BrokenProcessPool as problem:
        raise WorkersEnded("a worker process was ended: run it again, what is issued is kept") from problem
    finally:
        pool.shutdown(cancel_futures=True)


def write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    """The lines that led to nothing, with number and reason; no file where there are none."""
    path.unlink(missing_ok=True)
    if rejected:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("line", "text", "reason"))
            table.writerows((one.line, one.text, one.reason) for one in rejected)


def _jobs(
    devices: Sequence[Device], folder: Path, authority: CertificateAuthority, options: DeviceOptions
) -> Iterator[Job]:
    key, chain = pem_private_key(authority.key), pem_chain(authority.chain)
    for batch in batched(devices, BATCH, strict=False):
        yield Job(folder, batch, options, key, chain)


def _entries(results: Iterable[Results], tally: Tally, progress: Callable[[int], None]) -> Iterator[InventoryLine]:
    for batch in results:
        for one in batch:
            if isinstance(one, Rejected):
                tally.rejected.append(one)
                continue
            tally.kept += one.verdict is Verdict.KEEP
            tally.made += one.verdict is not Verdict.KEEP
            yield one.entry
        progress(len(batch))


def _issue(
    device: Device, workspace: Workspace, authority: CertificateAuthority, options: DeviceOptions
) -> Issued | Rejected:
    files = DeviceFiles.in_folder(workspace.directory / device.registration_id)
    try:
        verdict, leaf = issue_or_keep(workspace, files, device.registration_id, authority, options)
    except NotPossible as problem:
        return Rejected(device.line, device.registration_id, str(problem))
    except OSError as problem:
        return Rejected(device.line, device.registration_id, f"{problem.filename or files.key}: {problem.strerror}")
    return Issued(verdict, InventoryLine.of(device.registration_id, leaf))


@lru_cache(maxsize=1)
def _authority(key: bytes, chain: bytes) -> CertificateAuthority:
    """Read once in each process: opening an RSA key checks it, which takes as long as issuing several devices."""
    credential = Credential.from_pem(key, chain)
    own, *parents = credential.chain
    return CertificateAuthority(own, credential.key, tuple(parents), signature_hash(credential.key))


def _belong_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A pool's processes hold both ends of their queue, so that they would wait for a parent that is gone for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

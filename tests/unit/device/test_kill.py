"""Power may go at every step: a device that is killed before each of them loses no key and is never without one."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from support.mortal_device import Cloud, live

from fleetcert.certificates import CertificateAuthority, pem_chain, pem_private_key
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.keystore import name_of_key
from fleetcert.device.ports import Way
from fleetcert.device.store import DeviceStore

NEVER = 10**9
type Life = Callable[[Path, Way, int], int]


@pytest.fixture(scope="session")
def life(bootstrap: OnboardingCredential) -> Life:
    """Runs one life of the device in a process of its own; returns how it ended."""
    context = multiprocessing.get_context(
        "fork"
    )  # a life lasts 20 ms; a fresh interpreter's imports would take ten times that
    files = bootstrap.certificate_file, bootstrap.key_file

    def run(folder: Path, way: Way, nth: int) -> int:
        process = context.Process(target=live, args=(folder, files, way, nth))
        process.start()
        process.join(60)
        assert process.exitcode is not None
        return process.exitcode

    return run


@pytest.fixture
def new_cloud(tmp_path: Path, issuing_ca: CertificateAuthority) -> Callable[[str], Cloud]:
    """A cloud, and a device that is fresh from the factory."""

    def create(name: str) -> Cloud:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ca.pem").write_bytes(pem_chain([issuing_ca.certificate]))
        (folder / "ca.key").write_bytes(pem_private_key(issuing_ca.key))
        return Cloud(folder)

    return create


def what_is_left(cloud: Cloud) -> DeviceStore:
    """The store as the next life would find it. Opening it changes it, so it is a copy that is looked at."""
    copy = cloud.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(cloud.folder / "state", copy) if (cloud.folder / "state").exists() else copy.mkdir()
    store = DeviceStore(copy)
    store.close()
    return store


def check_that_nothing_is_lost(cloud: Cloud) -> None:
    """The last certificate's key is there; and from the first report on, a certificate that the hub has accepted."""
    if issued := cloud.noted("pem"):
        assert (cloud.folder / "state" / f"{key_name(issued[-1])}.key").exists()
    if "certificate" in cloud.twin:
        current = what_is_left(cloud).current
        assert current is not None
        assert current.thumbprint in cloud.noted("accepted")


def check_that_all_is_well(cloud: Cloud) -> None:
    """One key, one certificate: the newest, accepted and reported. Two keys were ever certified."""
    left = what_is_left(cloud)
    assert left.current is not None
    assert left.current.thumbprint == cloud.twin["certificate"]["thumbprint"] == cloud.noted("accepted")[-1]
    assert left.current.thumbprint == cloud.noted("issued")[-1] != cloud.noted("wanted")[0]
    assert (left.candidate, left.attempt, left.wish) == (None, None, None)
    assert sorted(path.suffix for path in (cloud.folder / "state").iterdir()) == [".json", ".key", ".pem"]
    assert len({key_name(pem) for pem in cloud.noted("pem")}) == 2


def key_name(pem: str) -> str:
    key: Any = x509.load_pem_x509_certificate(pem.encode()).public_key()
    return name_of_key(key)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", Way)
def test_a_device_that_is_killed_before_any_step_goes_on_as_if_nothing_had_happened(
    life: Life, new_cloud: Callable[[str], Cloud], way: Way
) -> None:
    whole = new_cloud("whole")
    assert life(whole.folder, way, NEVER) == 0
    (operations,) = whole.noted("operations")
    assert operations > 80
    for nth in range(1, operations + 1):
        cloud = new_cloud(f"killed-{nth}")
        assert life(cloud.folder, way, nth) == -signal.SIGKILL
        check_that_nothing_is_lost(cloud)
        assert life(cloud.folder, way, NEVER) == 0
        check_that_all_is_well(cloud)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", Way)
def test_a_device_that_is_killed_again_and_again_gets_there(
    life: Life, new_cloud: Callable[[str], Cloud], way: Way
) -> None:
    cloud = new_cloud("cursed")
    for nth in range(1, 200):
        ending = life(cloud.folder, way, nth)
        check_that_nothing_is_lost(cloud)
        if ending == 0:
            break
        assert ending == -signal.SIGKILL
    check_that_all_is_well(cloud)
    assert len(cloud.noted("life")) > 10

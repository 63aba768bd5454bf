"""Exports on a real blob service: blocks become a file, and pieces of it are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.exports import BlobExports
from shared.errors import NotFound


@pytest.fixture
async def exports(storage: str, fresh_name: str) -> AsyncIterator[BlobExports]:
    blobs = BlobExports.from_connection_string(storage, fresh_name)
    yield blobs
    await blobs.close()


async def test_a_file_is_what_its_list_of_blocks_says(exports: BlobExports, fresh_name: str):
    for block, content in (("000000-a", b"first,"), ("000001-x", b"a double"), ("000001-b", b"second")):
        await exports.stage("f.csv", block, content)
    with pytest.raises(NotFound):  # blocks alone are no file
        await exports.read("f.csv", 0, 100)
    for _ in range(2):
        await exports.assemble("f.csv", ["000000-a", "000001-b"])
        assert (await exports.read("f.csv", 0, 100)).content == b"first,second"
    assert exports.place_of("f.csv") == f"{fresh_name}/f.csv"


async def test_a_piece_tells_how_much_there_is(exports: BlobExports):
    await exports.stage("f.csv", "000000-a", b"0123456789")
    await exports.assemble("f.csv", ["000000-a"])
    middle, beyond = await exports.read("f.csv", 3, 4), await exports.read("f.csv", 10, 4)
    assert (middle.content, middle.size) == (b"3456", 10)
    assert (beyond.content, beyond.size) == (b"", 10)
    assert middle.version == beyond.version != ""
    assert (await exports.read("f.csv", 8, 100)).content == b"89"


async def test_what_is_not_there_is_not_found_and_removed_with_contentment(exports: BlobExports):
    with pytest.raises(NotFound):
        await exports.read("f.csv", 0, 1)
    await exports.remove("f.csv")
    assert await exports.older_than(datetime.now(UTC), 10) == []


async def test_old_files_are_listed_and_removed(exports: BlobExports):
    for name in ("a.csv", "b.csv", "c.csv"):
        await exports.stage(name, "000000-a", b"x")
        await exports.assemble(name, ["000000-a"])
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert await exports.older_than(later - timedelta(hours=1), 10) == []
    assert await exports.older_than(later, 2) == ["a.csv", "b.csv"]
    await exports.remove("a.csv")
    assert await exports.older_than(later, 10) == ["b.csv", "c.csv"]

"""One effect and one answer for a key, whoever dies in between."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from support.fakes import FakeClock, FakeTable

from shared.domain import keys
from shared.errors import InFlight, KeyReused
from shared.services.idempotency import LEASE, LIFE, Claim, Idempotency, Remembered

ANSWER = Remembered(status=202, headers={"Location": "/x"}, media_type="application/json", body='{"a":"ä"}' * 20_000)
MOMENT = timedelta(seconds=1)


class World:
    """The service over a table and a clock that stands still."""

    def __init__(self) -> None:
        self.table, self.clock = FakeTable(), FakeClock()
        numbers = count(1)
        self.keys = Idempotency(self.table, self.clock, lambda: f"id-{next(numbers)}")

    async def claim(self, request: bytes = b"r", key: str = "k", caller: str = "ann") -> Claim:
        claim = await self.keys.claim(caller, key, request)
        assert isinstance(claim, Claim)
        return claim


@pytest.fixture
def world() -> World:
    return World()


async def test_an_answer_is_remembered_whole_and_given_again(world: World):
    await world.keys.remember(await world.claim(), ANSWER)
    assert await world.keys.claim("ann", "k", b"r") == ANSWER


async def test_the_same_key_with_another_request_is_refused(world: World):
    claim = await world.claim()
    with pytest.raises(KeyReused):
        await world.keys.claim("ann", "k", b"other")
    await world.keys.remember(claim, ANSWER)
    with pytest.raises(KeyReused):
        await world.keys.claim("ann", "k", b"other")


async def test_a_key_is_its_callers_own(world: World):
    first, second = await world.claim(), await world.claim(b"other", caller="bob")
    assert first.id != second.id


async def test_a_request_that_is_being_worked_on_is_told_when_to_ask_again(world: World):
    await world.claim()
    world.clock.advance(LEASE - MOMENT)
    with pytest.raises(InFlight) as refusal:
        await world.keys.claim("ann", "k", b"r")
    assert refusal.value.retry_after == MOMENT


async def test_who_died_in_between_is_followed_under_the_same_id_and_instant(world: World):
    died = await world.claim()
    world.clock.advance(LEASE)
    follower = await world.claim()
    assert (follower.id, follower.at, follower.is_again) == (died.id, died.at, True)
    with pytest.raises(InFlight):  # it is worked on again, by one alone
        await world.keys.claim("ann", "k", b"r")
    await world.keys.remember(follower, ANSWER)
    await world.keys.remember(died, Remembered(status=500, headers={}, media_type="", body="late"))
    assert await world.keys.claim("ann", "k", b"r") == ANSWER


async def test_of_two_who_follow_at_once_one_is_turned_away(world: World):
    await world.claim()
    world.clock.advance(LEASE)
    won: list[Claim] = []

    async def other_is_faster() -> None:
        async def claims() -> None:
            won.append(await world.claim())

        world.table.before_commit = claims

    world.table.before_commit = other_is_faster  # before our insert, which meets the first claim
    with pytest.raises(InFlight):
        await world.keys.claim("ann", "k", b"r")
    assert [claim.is_again for claim in won] == [True]


async def test_a_key_that_was_released_can_be_used_again_at_once(world: World):
    first = await world.claim()
    await world.keys.release(first)
    second = await world.claim()
    assert second.id != first.id
    assert second.is_again is False


async def test_a_key_that_was_given_back_is_followed_at_once_under_the_same_id_and_instant(world: World):
    failed = await world.claim()
    world.clock.advance(MOMENT)
    await world.keys.give_back(failed)
    follower = await world.claim()
    assert (follower.id, follower.at, follower.is_again) == (failed.id, failed.at, True)
    with pytest.raises(KeyReused):
        await world.keys.claim("ann", "k", b"other")


async def test_after_a_day_a_key_is_new(world: World):
    first = await world.claim()
    await world.keys.remember(first, ANSWER)
    world.clock.advance(LIFE)
    second = await world.claim(b"other")
    assert (second.id != first.id, second.is_again) == (True, False)


async def test_keys_are_forgotten_after_a_day_a_bounded_number_at_a_time(world: World):
    for number in range(12):
        await world.keys.remember(await world.claim(key=f"old-{number}"), ANSWER)
    world.clock.advance(LIFE)
    for number in range(12):
        await world.claim(key=f"new-{number}")
    rounds = [await Idempotency(world.table, world.clock, str, pruned_at_once=10).prune() for _ in range(3)]
    assert sum(rounds) == 12
    assert len(world.table.keys(keys.IDEMPOTENCY)) == 12
    for number in range(12):
        with pytest.raises(InFlight):
            await world.claim(key=f"new-{number}")


async def test_a_request_without_a_key_claims_nothing(world: World):
    claim = world.keys.unclaimed()
    await world.keys.remember(claim, ANSWER)
    await world.keys.release(claim)
    await world.keys.give_back(claim)
    assert world.table.rows == {}

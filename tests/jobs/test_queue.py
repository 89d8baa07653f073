"""Creating, finding, listing, stopping and removing jobs: no process is needed for these."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from outcrop.errors import ValidationException
from outcrop.jobs import NameTaken, TokenReused, claims, queue, stopped
from outcrop.jobs.claims import Hold
from outcrop.jobs.job import Job
from outcrop.store.database import Database
from tests.stores import store_at

ACCOUNT, REGION, KIND = "111122223333", "us-east-1", "sums"
START = datetime(2030, 1, 1, tzinfo=UTC)
KEY = b"k" * 32


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(store_at(tmp_path))
    yield opened
    opened.close()


def make(
    database: Database, body: object = None, token: str | None = None, *, seconds: float = 0, name: str | None = None,
    account: str = ACCOUNT, region: str = REGION, kind: str = KIND, unique_name: bool = False,
) -> queue.Created:  # fmt: skip
    with database.transaction() as transaction:
        return queue.create(
            transaction, account, region, kind, body, token, now=START + timedelta(seconds=seconds), name=name,
            unique_name=unique_name,
        )  # fmt: skip


def names(jobs: list[Job]) -> list[str | None]:
    return [job.name for job in jobs]


def test_a_job_is_a_row_before_anyone_is_told(database: Database, tmp_path: Path) -> None:
    job, is_new = make(database, {"b": [1, 2], "a": None}, name="first")
    assert is_new
    other = Database.open(store_at(tmp_path))
    found = queue.find(other, ACCOUNT, REGION, KIND, job.id)
    other.close()
    assert found == job
    assert (job.status, job.input, job.created_at, job.fence) == ("queued", {"b": [1, 2], "a": None}, START, 0)


def test_what_is_not_json_is_refused_before_it_is_written(database: Database) -> None:
    with pytest.raises(TypeError):
        make(database, {1, 2})
    assert queue.of_all_accounts(database) == []


def test_a_token_makes_one_job(database: Database) -> None:
    first = make(database, {"a": 1, "b": 2}, "token")
    again = make(database, {"b": 2, "a": 1}, "token", seconds=5)
    assert (again.is_new, again.job) == (False, first.job)
    with pytest.raises(TokenReused):
        make(database, {"a": 1}, "token")
    with pytest.raises(TokenReused):
        make(database, {"a": 1, "b": 2}, "token", name="other")


@pytest.mark.parametrize("place", [{"account": "2" * 12}, {"region": "eu-west-1"}, {"kind": "other"}])
def test_tokens_and_names_belong_to_account_region_and_kind(database: Database, place: dict[str, str]) -> None:
    make(database, 1, "token", name="name", unique_name=True)
    assert make(database, 2, "token", name="name", unique_name=True, **place).is_new  # type: ignore[arg-type]  # strings


def test_fifty_at_once_with_one_token_make_one_job(database: Database) -> None:
    together = threading.Barrier(50)

    def create(number: int) -> str:
        together.wait()
        try:
            return make(database, {"body": number % 2}, "token").job.id
        except TokenReused:
            return "refused"

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(create, range(50)))
    (job,) = queue.of_all_accounts(database)
    same = job.input["body"]
    assert [answer for number, answer in enumerate(answers) if number % 2 == same] == [job.id] * 25
    assert [answer for number, answer in enumerate(answers) if number % 2 != same] == ["refused"] * 25


def test_names_are_unique_where_the_kind_says_so(database: Database) -> None:
    make(database, 1, name="name", unique_name=True)
    with pytest.raises(NameTaken):
        make(database, 1, name="name", unique_name=True)
    assert make(database, 1, "token", name="name").is_new


def test_a_name_that_was_refused_leaves_the_transaction_usable(database: Database) -> None:
    make(database, 1, name="name", unique_name=True)
    with database.transaction() as transaction:
        with pytest.raises(NameTaken):
            queue.create(transaction, ACCOUNT, REGION, KIND, 1, now=START, name="name", unique_name=True)
        queue.create(transaction, ACCOUNT, REGION, KIND, 1, now=START, name="free", unique_name=True)
    assert sorted(names(queue.of_all_accounts(database)), key=str) == ["free", "name"]


def test_a_job_is_found_by_id_and_by_name_in_its_own_place_only(database: Database) -> None:
    old, new = make(database, name="same").job, make(database, name="same", seconds=1).job
    assert queue.find(database, ACCOUNT, REGION, KIND, old.id) == old
    assert queue.find(database, ACCOUNT, REGION, KIND, "same") == new
    assert queue.find(database, "2" * 12, REGION, KIND, old.id) is None
    assert queue.find(database, ACCOUNT, "eu-west-1", KIND, old.id) is None
    assert queue.find(database, ACCOUNT, REGION, "other", old.id) is None


@pytest.mark.parametrize("descending", [True, False])
def test_pages_show_each_job_once_while_others_come_and_go(database: Database, descending: bool) -> None:
    made = [make(database, name=f"n{number:02}", seconds=number // 2).job for number in range(10)]
    seen: list[Job] = []
    token = None
    while True:
        found, token = queue.page(database, ACCOUNT, REGION, KIND, 3, token, key=KEY, descending=descending)
        seen += found
        if len(seen) == 3:
            make(database, name="late", seconds=-1 if not descending else 99)
            gone = made[9 if descending else 0]
            with database.transaction() as transaction:
                queue.stop(transaction, ACCOUNT, REGION, KIND, gone.id, START)
                assert queue.remove(transaction, ACCOUNT, REGION, KIND, gone.id)
        if token is None:
            break
    order = sorted(made, key=lambda job: (job.created_at, job.id), reverse=descending)
    assert [job.id for job in seen] == [job.id for job in order]


def test_filters_of_a_page(database: Database) -> None:
    for number, name in enumerate(["apple", "Apricot", "pear_1", "pear%", None]):
        make(database, name=name, seconds=number)
    make(database, name="apple elsewhere", region="eu-west-1")
    with database.transaction() as transaction:
        (pear,) = [job for job in queue.of_all_accounts(database) if job.name == "pear%"]
        queue.stop(transaction, ACCOUNT, REGION, KIND, pear.id, START)

    def page(**filters: object) -> list[str | None]:
        return names(queue.page(database, ACCOUNT, REGION, KIND, None, None, key=KEY, **filters)[0])  # type: ignore[arg-type]  # its own keywords

    assert page() == [None, "pear%", "pear_1", "Apricot", "apple"]
    assert page(name_contains="ap") == ["apple"]
    assert page(name_contains="%") == ["pear%"]
    assert page(statuses=["stopped"]) == ["pear%"]
    assert page(statuses=["stopped", "queued"], name_contains="pear") == ["pear%", "pear_1"]
    times = {"created_after": START + timedelta(seconds=1), "created_before": START + timedelta(seconds=2)}
    assert page(**times) == ["pear_1", "Apricot"]


def test_a_token_of_another_list_is_refused(database: Database) -> None:
    for number in range(3):
        make(database, seconds=number)
    _, token = queue.page(database, ACCOUNT, REGION, KIND, 1, None, key=KEY)
    with pytest.raises(ValidationException):
        queue.page(database, ACCOUNT, REGION, KIND, 1, token, key=KEY, statuses=["queued"])
    with pytest.raises(ValidationException):
        queue.page(database, "2" * 12, REGION, KIND, 1, token, key=KEY)


def test_only_what_has_ended_is_removed_with_its_lines(database: Database) -> None:
    job = make(database).job
    claimed = claims.claim(database, [KIND], "me", START, timedelta(seconds=10))
    assert claimed is not None
    hold = Hold(job.id, claimed.fence)
    with database.transaction() as transaction:
        assert not queue.remove(transaction, ACCOUNT, REGION, KIND, job.id)
        claims.say(transaction, hold, [(1, START, "one")])
        claims.settle(transaction, hold, stopped(), START)
        assert queue.remove(transaction, ACCOUNT, REGION, KIND, job.id)
        assert not queue.remove(transaction, ACCOUNT, REGION, KIND, job.id)
    assert queue.lines(database, job.id) == []


def test_lines_are_there_once_and_the_newest_are_kept(database: Database) -> None:
    job = make(database).job
    claims.claim(database, [KIND], "me", START, timedelta(seconds=10))
    said = [(number, START, f"line {number}") for number in range(1, claims.KEPT_LINES + 11)]
    with database.transaction() as transaction:
        claims.say(transaction, Hold(job.id, 1), said[:20])
        claims.say(transaction, Hold(job.id, 1), said)
        claims.say(transaction, Hold(job.id, 2), [(1, START, "another attempt")])
    found = queue.lines(database, job.id, limit=5000)
    assert len(found) == claims.KEPT_LINES + 1
    assert (found[0].text, found[-1].text) == ("line 11", "another attempt")
    assert [line.text for line in queue.lines(database, job.id, found[-3].position)] == [
        line.text for line in found[-2:]
    ]


def test_two_servers_never_get_the_same_job(tmp_path: Path) -> None:
    database = Database.open(store_at(tmp_path))
    wanted = {make(database, number).job.id for number in range(40)}
    servers = [Database.open(store_at(tmp_path)) for _ in range(4)]

    def take(server: Database) -> list[str]:
        found = []
        while (job := claims.claim(server, [KIND], "me", START, timedelta(seconds=10))) is not None:
            found.append(job.id)
        return found

    with ThreadPoolExecutor(4) as pool:
        taken = [job_id for part in pool.map(take, servers) for job_id in part]
    assert len(taken) == 40
    assert set(taken) == wanted
    for opened in (database, *servers):
        opened.close()


def test_whoever_was_overtaken_writes_nothing(database: Database) -> None:
    job = make(database).job
    lease = timedelta(seconds=10)
    first = claims.claim(database, [KIND], "slow", START, lease)
    assert claims.claim(database, [KIND], "other", START + lease, lease) is None
    second = claims.claim(database, [KIND], "quick", START + timedelta(seconds=11), lease)
    assert first is not None
    assert second is not None
    assert (second.fence, second.crashes) == (2, 1)
    before = queue.find(database, ACCOUNT, REGION, KIND, job.id)
    late = Hold(job.id, first.fence)
    with database.transaction() as transaction:
        assert claims.renew(transaction, late, START, lease, claims.Progress(1, 2, {})) is None
        assert claims.checkpoint(transaction, late, {"mine": True}, START, claims.Progress(1, 2, {})) is None
        assert not claims.release(transaction, late, START, START, 2, "crash")
        assert claims.settle(transaction, late, stopped(), START) is None
    assert queue.find(database, ACCOUNT, REGION, KIND, job.id) == before


def test_what_has_ended_is_written_no_more(database: Database) -> None:
    job = make(database).job
    claims.claim(database, [KIND], "me", START, timedelta(seconds=10))
    hold = Hold(job.id, 1)
    with database.transaction() as transaction:
        claims.settle(transaction, hold, stopped("partial"), START)
    before = queue.find(database, ACCOUNT, REGION, KIND, job.id)
    with database.transaction() as transaction:
        assert claims.renew(transaction, hold, START, timedelta(seconds=10), None) is None
        assert claims.checkpoint(transaction, hold, 1, START, None) is None
        assert not claims.release(transaction, hold, START, START, 0, None)
        assert claims.settle(transaction, hold, stopped(), START) is None
        assert queue.stop(transaction, ACCOUNT, REGION, KIND, job.id, START) is None
    assert queue.find(database, ACCOUNT, REGION, KIND, job.id) == before
    assert claims.claim(database, [KIND], "other", START + timedelta(days=1), timedelta(seconds=10)) is None


def test_a_crashed_job_waits_unless_it_was_asked_to_stop(database: Database) -> None:
    lease, later = timedelta(seconds=10), START + timedelta(seconds=60)
    for seconds in (0, 1):
        make(database, seconds=seconds)
    first, second = (claims.claim(database, [KIND], "me", START + timedelta(seconds=2), lease) for _ in range(2))
    assert first is not None
    assert second is not None
    with database.transaction() as transaction:
        queue.stop(transaction, ACCOUNT, REGION, KIND, second.id, START)
        for job in (first, second):
            assert claims.release(transaction, Hold(job.id, job.fence), START, later, 1, "crash")
    assert [claims.claim(database, [KIND], "me", START + lease, lease) for _ in range(2)][1] is None
    again = queue.find(database, ACCOUNT, REGION, KIND, second.id)
    assert again is not None
    assert (again.status, again.fence, again.crashes, again.problem) == ("stopping", 2, 1, "crash")


def test_what_is_stopping_is_claimed_first_and_where_its_kind_is_full(database: Database) -> None:
    lease = timedelta(seconds=10)
    for seconds in (0, 1):
        make(database, seconds=seconds)
    _, second = (claims.claim(database, [KIND], "me", START + timedelta(seconds=2), lease) for _ in range(2))
    assert second is not None
    with database.transaction() as transaction:
        queue.stop(transaction, ACCOUNT, REGION, KIND, second.id, START)
    later = START + timedelta(seconds=20)
    claimed = claims.claim(database, [], "me", later, lease, [KIND])
    assert claimed is not None
    assert claimed.id == second.id
    assert claims.claim(database, [], "me", later, lease, [KIND]) is None

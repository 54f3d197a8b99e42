"""Keys, buckets, and what may wait: each part by itself."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import pytest

from zenml_mlops.configuration import ConfigError
from zenml_mlops.inference.champion import find_champion, load_model
from zenml_mlops.serving.config import RateRules, build_serving_config
from zenml_mlops.serving.limits import (
    ApiKeys,
    KeyFormatError,
    OpenDoorError,
    TokenBuckets,
    check_reachable,
    is_loopback,
)
from zenml_mlops.serving.loaded_version import LoadedVersion
from zenml_mlops.serving.metrics import Metrics
from zenml_mlops.serving.schema import Problem, RequestContract
from zenml_mlops.serving.scorer import OverloadedError, Scorer, ScoringError
from zenml_mlops.serving.server import listen
from zenml_pipelines.use_case.features import GROUPING

KEYS = ["a" * 32, "b" * 40]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_bucket_empties_and_fills_again():
    clock = Clock()
    buckets = TokenBuckets(RateRules(per_second=0.5, burst=3, most_clients=10), clock)
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 2, 2]
    assert buckets.take("b") == 0
    clock.now = 1.0
    assert buckets.take("a") == 1
    clock.now = 2.0
    assert buckets.take("a") == 0
    clock.now = 1000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2]


def test_buckets_do_not_grow_without_end():
    buckets = TokenBuckets(RateRules(per_second=1, burst=1, most_clients=3), Clock())
    for number in range(100):
        buckets.take(str(number))
    assert list(buckets._buckets) == ["97", "98", "99"]


def test_each_key_is_known_by_a_name_that_tells_nothing():
    keys = ApiKeys.parse(f"\n{KEYS[0]}\n  {KEYS[1]}  \n\n")
    assert [keys.owner(key.encode()) for key in KEYS] == ["key-1", "key-2"]
    assert keys.owner(b"c" * 32) is None
    assert keys.owner(b"") is None
    assert not ApiKeys([]).owner(b"")


@pytest.mark.parametrize("text", ["", "\n\n", "short", "with a space in the middle of it", "ümlaut-ümlaut-ümlaut"])
def test_what_is_no_key_is_refused_without_being_shown(text):
    with pytest.raises(KeyFormatError) as error:
        ApiKeys.parse(text)
    assert not text.strip() or text not in str(error.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False),
     ("localhost.example.org", False)],
)  # fmt: skip
def test_without_a_key_nothing_but_loopback(host, loopback):
    assert is_loopback(host) is loopback
    check_reachable(host, ApiKeys(KEYS))
    if loopback:
        check_reachable(host, ApiKeys([]))
    else:
        with pytest.raises(OpenDoorError, match="--api-key-file"):
            check_reachable(host, ApiKeys([]))


def test_an_answer_does_not_wait_for_acknowledgements(config):
    """Nagle's algorithm and delayed acknowledgements together add 40 ms to an answer of two packets."""
    with listen(config) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_configuration_names_every_problem():
    from labs.pipeline_workspace import settings

    wrong = settings()
    wrong["serving"] |= {"port": 70000, "most_rows": 0, "extra": 1}
    with pytest.raises(ConfigError) as error:
        build_serving_config(wrong)
    assert all(name in str(error.value) for name in ("port", "most_rows", "extra", "serving in configs/"))


def test_a_problem_has_no_place_for_a_value():
    assert set(Problem.model_fields) == {"row", "column", "problem"}


@pytest.fixture
def loaded(put, config):
    put(1)
    champion = find_champion(config.model_name, "production")
    return LoadedVersion.of(champion, load_model(champion), GROUPING, threshold=0.2, most_rows=config.most_rows)


def calls(metrics):
    text = metrics.render().decode()
    return int(float(text.split("zenml_serving_call_rows_count ")[1].split()[0]))


def test_what_waits_is_scored_in_one_call(loaded, rows):
    metrics = Metrics()
    scorer = Scorer(1000, 4000, metrics)

    async def many():
        return await asyncio.gather(*(scorer.score(loaded, [row]) for row in rows[:100]))

    found = asyncio.run(many())
    scorer.close()
    assert [one.risk for (one,) in found] == [one.risk for one in loaded.answer(rows[:100])]
    assert calls(metrics) <= 3


def test_one_call_takes_no_more_rows_than_it_may(loaded, rows):
    metrics = Metrics()
    scorer = Scorer(10, 4000, metrics)

    async def many():
        return await asyncio.gather(*(scorer.score(loaded, rows[n : n + 4]) for n in range(0, 40, 4)))

    found = asyncio.run(many())
    scorer.close()
    assert [one.row_id for part in found for one in part] == [row["encounter_id"] for row in rows[:40]]
    assert calls(metrics) == 5


def test_a_row_that_fails_takes_no_other_request_with_it(loaded, rows):
    scorer = Scorer(1000, 4000, Metrics())
    broken = {**rows[1], "time_in_hospital": "no number, by a fault of ours"}

    async def three():
        jobs = (scorer.score(loaded, [row]) for row in (rows[0], broken, rows[2]))
        return await asyncio.gather(*jobs, return_exceptions=True)

    first, second, third = asyncio.run(three())
    scorer.close()
    assert first == loaded.answer([rows[0]])
    assert third == loaded.answer([rows[2]])
    assert isinstance(second, ScoringError)
    assert "no number" not in f"{second} {second.__cause__} {second.__context__}"


def test_too_many_waiting_rows_are_refused_at_once(loaded, rows):
    scorer = Scorer(10, 20, Metrics())

    async def many():
        jobs = (scorer.score(loaded, rows[n : n + 10]) for n in range(0, 100, 10))
        return await asyncio.gather(*jobs, return_exceptions=True)

    found = asyncio.run(many())
    scorer.close()
    assert sum(isinstance(one, OverloadedError) for one in found) == 8
    assert sum(isinstance(one, list) for one in found) == 2


def test_rows_of_two_versions_are_never_in_one_call(loaded, put, config, rows):
    champion = find_champion(config.model_name, "production")
    put(2)
    other = find_champion(config.model_name, "production")
    put(1)
    assert champion.version != other.version
    second = LoadedVersion.of(other, load_model(other), GROUPING, threshold=0.2, most_rows=config.most_rows)
    scorer = Scorer(1000, 4000, Metrics())

    async def mixed():
        jobs = (scorer.score(loaded if n % 2 else second, [rows[n]]) for n in range(20))
        return await asyncio.gather(*jobs)

    found = asyncio.run(mixed())
    scorer.close()
    for number, (one,) in enumerate(found):
        expected = (loaded if number % 2 else second).answer([rows[number]])[0]
        assert one == expected


def test_a_client_that_went_away_costs_nothing(loaded, rows):
    scorer = Scorer(1, 4000, Metrics())

    async def leave():
        jobs = [asyncio.create_task(scorer.score(loaded, [row])) for row in rows[:5]]
        await asyncio.sleep(0)
        for job in jobs[2:4]:
            job.cancel()
        return await asyncio.gather(*jobs, return_exceptions=True)

    found = asyncio.run(leave())
    scorer.close()
    assert [isinstance(one, asyncio.CancelledError) for one in found] == [False, False, True, True, False]
    assert threading.active_count() < 50


def test_the_contract_takes_its_own_example():
    from zenml_pipelines.use_case.contract import CONTRACT

    contract = RequestContract(CONTRACT, most_rows=1)
    assert contract.parse(json.dumps({"rows": [contract.example()]}).encode()) == [contract.example()]

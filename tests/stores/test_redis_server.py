"""The requirements on a Redis server, and the behavior of a store during an outage."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.stores import LogEntry, UnavailableError
from app.stores.redis.connection import Address, check_server
from app.stores.redis.log import RedisEventLog
from app.stores.redis.queue import RunQueue
from chains.errors import ConfigError
from chains.parts.events import Fragment
from tests.conftest import StartRedis
from tests.deployment import make_certificate
from tests.redis_servers import Kind, Proxy, RedisServer, binary, free_port
from tests.servers import run
from tests.stores.logs import END, REQUESTS, START, events_in, fragments, rest


def server(folder: Path, kind: Kind, *options: str) -> RedisServer:
    """A server that the test may kill."""
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    return RedisServer(binary(kind), folder, options or durable)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--appendonly", "no"), "would lose runs when it stops: set appendonly yes."),
        (
            ("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"),
            "may evict runs: set maxmemory-policy noeviction.",
        ),
        (("--requirepass", "secret-1234"), "rejects the user name or the password."),
    ],
)
def test_a_server_that_may_lose_runs_is_refused(tmp_path: Path, options: tuple[str, ...], problem: str) -> None:
    """One line names the setting, but not the password."""
    with server(tmp_path, "valkey", *options) as started:
        address = Address.parse(f"redis://:wrong-1234@127.0.0.1:{started.port}/0" if "pass" in problem else started.url)
        with pytest.raises(ConfigError) as raised:
            run(check_server(address))
        assert str(raised.value) == f"SIZZLE_STORE: 127.0.0.1:{started.port} {problem}"


def test_a_server_that_does_not_answer_is_refused() -> None:
    port = free_port()
    with pytest.raises(ConfigError) as raised:
        run(check_server(Address.parse(f"redis://user:secret@127.0.0.1:{port}/0"), timeout_s=0.1))
    assert str(raised.value) == f"SIZZLE_STORE: 127.0.0.1:{port} does not answer."


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_a_server_that_loads_its_file_is_waited_for(tmp_path: Path, kind: Kind) -> None:
    """Meanwhile it says that it has no append-only file."""
    with server(tmp_path, kind, "--appendonly", "yes", "--key-load-delay", "200") as started:
        with Redis(port=started.port) as admin, admin.pipeline() as pipeline:
            for number in range(5000):
                pipeline.set(str(number), 1)
            pipeline.execute()
        started.kill()
        with ThreadPoolExecutor(1) as threads:
            starting = threads.submit(started.start)
            run(check_server(Address.parse(started.url)))
            starting.result()


@pytest.mark.parametrize(
    "url",
    [
        *("redis://", "redis://u:hidden@", "redis://u:hidden@[::1/0", "redis://host:port", "redis://host:70000/0"),
        *("redis://host/first", "redis://host/0?foo=hidden", "redis://host?socket_keepalive=1&ssl_ca_certs=/hidden"),
        *("rediss://host?ssl_cert_reqs=hidden", "rediss://host?db=x", "unix://", "redis://host/0?prefix={a}"),
    ],
)
def test_an_address_that_redis_cannot_have_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^SIZZLE_STORE: (expected redis://|prefix has to be)") as raised:
        Address.parse(url)
    assert "hidden" not in str(raised.value)


def test_a_connection_is_encrypted_if_the_certificate_is_trusted(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    tls, certificate = free_port(), tmp_path / "fullchain.pem"
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(tmp_path / "privkey.pem"))
    options = ("--appendonly", "yes", "--tls-port", str(tls), "--tls-auth-clients", "no", *files)
    with server(tmp_path, "redis", *options, "--tls-ca-cert-file", str(certificate)):
        run(check_server(Address.parse(f"rediss://127.0.0.1:{tls}/0?ssl_ca_certs={certificate}")))
        with pytest.raises(ConfigError, match="has a certificate that is not trusted: name its issuer's in ssl_ca_cer"):
            run(check_server(Address.parse(f"rediss://127.0.0.1:{tls}/0")))
    with pytest.raises(ConfigError, match=r"^SIZZLE_STORE: ssl_ca_certs: there is no such file\.$"):
        Address.parse(f"rediss://127.0.0.1:{tls}/0?ssl_ca_certs={tmp_path / 'missing.pem'}")


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_a_usable_server_is_accepted(start_redis: StartRedis, kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    """A warning says so if its memory is less than one and a half times what is to be kept."""
    server = start_redis(kind)
    with Redis(port=server.port) as admin:
        for memory in ("0", "150mb", "149mb"):
            assert not caplog.messages
            admin.config_set("maxmemory", memory)
            run(check_server(Address.parse(server.url), keep_bytes=100 * 2**20))
        admin.config_set("maxmemory", "0")
    assert "1.5 times SIZZLE_KEEP_BYTES" in caplog.text


def test_the_prefix_is_part_of_the_url() -> None:
    """It becomes a hash tag; the rest of the query is unchanged."""
    assert Address.parse("redis://host/3?prefix=a:b&health_check_interval=5") == Address(
        "redis://host/3?health_check_interval=5", "{a:b}"
    )
    assert Address.parse("unix:///run/redis.sock") == Address("unix:///run/redis.sock", "{sizzle}")


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_an_outage_is_a_pause(tmp_path: Path, kind: Kind) -> None:
    """The server is killed while a run is written and followed: nothing is lost or repeated."""

    async def scenario(killed: RedisServer) -> list[list[LogEntry]]:
        url = killed.url
        async with aclosing(RedisEventLog(url, REQUESTS)) as log, aclosing(RedisEventLog(url, REQUESTS)) as other:
            await log.begin("run", START)
            following = [other.follow("run"), log.follow("run")]
            seen = [await anext(entries) for entries in following]
            for event in fragments(3):
                await log.append("run", event)
            await log.read("run")
            await asyncio.to_thread(killed.kill)
            for event in fragments(3, 3):
                await log.append("run", event)
            ending = asyncio.create_task(log.append("run", END))
            await asyncio.to_thread(killed.start)
            await ending
            for entries, followed in zip(seen, following, strict=True):
                entries += [entry async for batch in followed for entry in batch]
            return [*seen, await rest(other)]

    with server(tmp_path, kind) as killed:
        for entries in run(scenario(killed)):
            assert events_in(entries) == [START, *fragments(6), END]
            assert len({entry.id.epoch for entry in entries}) == 1


def test_readers_of_a_log_that_lost_events_are_cut_off(tmp_path: Path) -> None:
    """If the server restarts without events that they have read, their next connection gets the rest."""

    async def scenario(killed: RedisServer) -> list[LogEntry]:
        url = killed.url
        async with aclosing(RedisEventLog(url, REQUESTS)) as log, aclosing(RedisEventLog(url, REQUESTS)) as other:
            await log.begin("run", START)
            await log.append("run", Fragment("intro", "0 "))
            following = other.follow("run")
            seen = await anext(following)
            while len(seen) < 2:
                seen += await anext(following)
            await asyncio.to_thread(killed.kill)
            for file in killed.folder.rglob("*"):
                if file.is_file():
                    file.unlink()
            await asyncio.to_thread(killed.start)
            return seen + [entry async for batch in following for entry in batch]

    with server(tmp_path, "valkey") as killed:
        assert events_in(run(scenario(killed))) == [START, *fragments(1)]


def test_a_store_whose_server_is_gone_says_so(tmp_path: Path) -> None:
    async def scenario(killed: RedisServer) -> None:
        async with aclosing(RedisEventLog(killed.url, REQUESTS)) as log:
            await log.begin("run", START)
            await asyncio.to_thread(killed.kill)
            with pytest.raises(UnavailableError):
                await log.read("run")

    with server(tmp_path, "valkey") as killed:
        run(scenario(killed))


def test_a_server_that_hangs_is_out_of_reach_until_it_goes_on(tmp_path: Path) -> None:
    """A new start waits for it."""

    async def scenario(hung: RedisServer) -> list[LogEntry]:
        async with aclosing(RedisEventLog(hung.url, REQUESTS)) as log:
            await log.begin("run", START)
            following = log.follow("run")
            seen = await anext(following)
            hung.pause()
            async with asyncio.timeout(20):
                with pytest.raises(UnavailableError):
                    await log.begin("another", START)
                with pytest.raises(ConfigError):
                    await check_server(log.address, timeout_s=0.1)
            await log.append("run", Fragment("intro", "0 "))
            hung.resume()
            await log.append("run", END)
            await log.check()
            return seen + [entry async for batch in following for entry in batch]

    with server(tmp_path, "valkey") as hung:
        assert events_in(run(scenario(hung))) == [START, *fragments(1), END]


def test_connections_that_were_lost_without_a_word_are_replaced(start_redis: StartRedis) -> None:
    """Those of a writer, of readers, of the queue and of the hints."""

    async def scenario() -> list[LogEntry]:
        proxy = Proxy(start_redis("valkey"))
        async with proxy as url, aclosing(RedisEventLog(url, REQUESTS)) as log:
            other = RedisEventLog(url, REQUESTS)
            async with aclosing(other), aclosing(RunQueue(log, "a", 60)) as queue:
                await queue.open()
                await log.begin("run", START)
                following = other.follow("run")
                seen = await anext(following)
                waiting = asyncio.create_task(queue.next_jobs(1))
                hinting = asyncio.create_task(anext(queue.hints()))
                await log.read("run")
                proxy.lose_connections()
                async with asyncio.timeout(20):
                    await log.append("run", Fragment("intro", "0 "))
                    await log.append("run", END)
                    seen += [entry async for batch in following for entry in batch]
                    for lost in (waiting, hinting):
                        with pytest.raises(RedisError):
                            await lost
                    await log.submit("queued", START, 9)
                    assert [job.run_id for job in await queue.next_jobs(1)] == ["queued"]
            return seen

    assert events_in(run(scenario())) == [START, *fragments(1), END]


def test_the_rights_in_the_documentation_are_enough(start_redis: StartRedis) -> None:
    """A user who has no others begins, queues, takes, follows and ends a run."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    (rule,) = re.findall("^ACL SETUSER .*$", text, re.MULTILINE)

    async def scenario(url: str) -> list[LogEntry]:
        async with aclosing(RedisEventLog(url, REQUESTS)) as log:
            await log.check()
            await log.submit("run", START, 9)
            async with aclosing(RunQueue(log, "a", 60)) as queue:
                await queue.open()
                (job,) = await queue.next_jobs(1)
                assert await queue.expired_jobs(1) == []
                following = log.follow("run")
                seen = await anext(following)
                await log.renew("a", [], ["run"])
                await log.take("run", job.id, "a")
                await log.renew("a", ["run"])
                await log.secret()
                await log.append("run", END)
                queue.close()
            return seen + [entry async for batch in following for entry in batch]

    server = start_redis("redis")
    with Redis(port=server.port) as admin:
        admin.acl_log_reset()
        admin.execute_command(*rule.split())
        entries = run(scenario(f"redis://sizzle:password@127.0.0.1:{server.port}/0"))
        refused = admin.acl_log()
        admin.execute_command("ACL", "DELUSER", "sizzle")
    assert (events_in(entries), refused) == ([START, END], [])

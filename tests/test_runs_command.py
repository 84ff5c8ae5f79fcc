"""`sizzle runs`: what a file of runs holds, in the terminal, also while a server writes it."""

import json
from pathlib import Path

import pytest

from tests.client import ask, follow, start
from tests.commands import sizzle
from tests.conftest import ServeScripts
from tests.redis_servers import RedisServer
from tests.server_process import server_process
from tests.servers import Gate, provider


def test_runs_are_listed_shown_exported_and_deleted(tmp_path: Path) -> None:
    """Everything but deleting works beside a running server."""
    store = f"sqlite://{tmp_path / 'runs.db'}"
    gate = Gate()
    with provider({"nutrition": [["Beef is good."], ["Onions ", gate]]}) as scripted:
        with server_process(tmp_path, GROQ_API_KEY="k", SIZZLE_GROQ_BASE_URL=scripted.url) as server:
            first = start(server.url)
            follow(first)
            state = ask("GET", first).json()
            second = start(server.url)
            ids = [address.rpartition("/")[2] for address in (second, first)]
            listed = json.loads(sizzle("runs", "list", "--json", "--store", store).stdout)
            assert [[row["run_id"], row["status"]] for row in listed] == [[ids[0], "running"], [ids[1], "ok"]]
            title = state["options"][state["picked"]]["name"]
            assert listed[1] | {"title": title, "composition": "recipe"} == listed[1]
            table = sizzle("runs", "list", "--store", store).stdout
            assert [title in table, ids[0] in table, ids[1] in table] == [True, True, True]
            shown = sizzle("runs", "show", ids[1], "--store", store).stdout
            assert shown.startswith(f"# {title}\n")
            assert "Beef is good." in shown
            for suffix, text in (
                ("md", shown),
                ("json", sizzle("runs", "show", ids[1], "--json", SIZZLE_STORE=store).stdout),
            ):
                exported = tmp_path / f"run.{suffix}"
                assert sizzle("runs", "export", ids[1], str(exported), "--store", store).returncode == 0
                assert exported.read_text() == text
            assert json.loads((tmp_path / "run.json").read_text()) == state
            refused = sizzle("runs", "delete", ids[1], "--store", store)
            assert [refused.returncode, "another server uses this file" in refused.stderr] == [1, True]
        assert sizzle("runs", "delete", *ids, "--store", store).stdout == f"Deleted {ids[0]}.\nDeleted {ids[1]}.\n"
        assert json.loads(sizzle("runs", "list", "--json", "--store", store).stdout) == []
        gate.open()


def test_runs_in_redis_are_listed_shown_exported_and_deleted(
    redis_server: RedisServer, serve_scripts: ServeScripts, tmp_path: Path
) -> None:
    """Everything works beside the running server, also deleting; without a command the runs are listed."""
    store, gate = redis_server.url, Gate()
    url, _ = serve_scripts({"nutrition": [["Beef is good."], ["Onions ", gate]]}, store=store)
    first = start(url)
    follow(first)
    state, second = ask("GET", first).json(), start(url)
    ids = [address.rpartition("/")[2] for address in (second, first)]
    listed = json.loads(sizzle("runs", "list", "--json", "--store", store).stdout)
    assert [[row["run_id"], row["status"]] for row in listed] == [[ids[0], "running"], [ids[1], "ok"]]
    table = sizzle("runs", SIZZLE_STORE=store).stdout
    assert [state["options"][state["picked"]]["name"] in table, *(each in table for each in ids)] == [True] * 3
    newest = json.loads(sizzle("runs", "list", "--json", "--limit", "1", "--store", store).stdout)
    assert [row["run_id"] for row in newest] == ids[:1]
    exported = tmp_path / "run.json"
    assert sizzle("runs", "export", ids[1][:13], str(exported), "--store", store).returncode == 0
    assert json.loads(exported.read_text()) == state
    assert "Beef is good." in sizzle("runs", "show", ids[1], "--store", store).stdout
    assert sizzle("runs", "delete", *ids, "--store", store).stdout == f"Deleted {ids[0]}.\nDeleted {ids[1]}.\n"
    assert json.loads(sizzle("runs", "list", "--json", "--store", store).stdout) == []
    assert ask("GET", first).status_code == 404
    gate.open()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ("list", "--store", "memory://"),
            "SIZZLE_STORE: memory: `sizzle runs` reads sqlite:///<path> and redis://… only.",
        ),
        (("list", "--store", "sqlite:///gone/runs.db"), "there is no such file"),
        (("list", "--store", "sqlite:///gone/runs.db?synchronous=off"), "expected sqlite:///<path>"),
        (("export", "x", "recipe.txt"), "ends neither in .md nor in .json"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments: tuple[str, ...], reason: str) -> None:
    done = sizzle("runs", *arguments)
    assert done.returncode in {1, 2}
    assert reason in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr

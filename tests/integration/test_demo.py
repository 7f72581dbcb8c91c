"""The demo, as somebody who tries Consentry for the first time meets it."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from tests.gateways import COMMAND, environment

SECONDS = 60
CUSTOMERS = 200


@pytest.fixture
def temp() -> Iterator[Path]:
    """Where the demo makes its folders; the account that PostgreSQL runs as can read it. Must be empty in the end."""
    folder = Path(tempfile.mkdtemp(prefix="consentry-test-demo-"))
    folder.chmod(0o777)
    yield folder
    left = list(folder.iterdir())
    shutil.rmtree(folder)
    assert left == [], "the demo leaves files behind"


class Demo:
    """A demo that runs. `lines` is what it has said."""

    def __init__(self, temp: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "demo", "--customers", str(CUSTOMERS), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environment(), "TMPDIR": str(temp), "COLUMNS": "80"},
        )
        self.lines: list[str] = []
        self.below: set[psutil.Process] = set()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        with self._changed:
            self._changed.wait_for(lambda: re.search(pattern, self.text), SECONDS)
        found = re.search(pattern, self.text)
        assert found, self.text
        return found

    def tried(self, beginning: str) -> list[str]:
        """The words of a command that the demo says to try."""
        found = self.wait_for(rf"(?m)^ +({beginning}[^#\n]*)")
        return shlex.split(found[1])

    def end(self, number: signal.Signals | None = None) -> int:
        """Sends the signal; the exit status, when the process and all that it started are gone."""
        self.note_processes()
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        _, alive = psutil.wait_procs(self.below, timeout=10)
        assert alive == [], "the demo leaves processes behind"
        return code

    def note_processes(self) -> None:
        """Remembers what runs below: PostgreSQL is in a session of its own, and known by its folder."""
        for process in psutil.process_iter(["cmdline"]):
            if any("consentry-test-demo-" in word for word in process.info["cmdline"] or ()):
                with suppress(psutil.NoSuchProcess):
                    self.below |= {process, *process.children(recursive=True)}


@pytest.fixture
def demo(temp: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        started.append(Demo(temp, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGINT)
            try:
                one.process.wait(SECONDS)
            finally:
                one.process.kill()


def part(text: str, number: int) -> str:
    """What the tour says under the title with this number."""
    found = re.search(rf"(?ms)^{number}\. (.*?)(?=^{number + 1}\. |\Z)", text)
    assert found, text
    return found[1]


def test_the_tour_shows_what_consentry_does(demo: Callable[..., Demo]) -> None:
    tour = demo("--exit", "--port", "0")
    assert tour.end() == 0, tour.text
    text = tour.text
    assert re.search(r"PostgreSQL \d+\.\d+ on port \d+, the gateway on port \d+: ready in \d+\.\d s", text)
    assert "…" not in part(text, 1) + part(text, 2)

    same = part(text, 1)
    assert re.search(r"in the\s+database\s+as crm\s+as analytics\s+as mailco", same)
    ann, ben = same.split("\nid ")[1:]
    assert re.search(r"email +(ann@example\.org) +\1 +[0-9a-f]+ +\1 *\n", ann)
    assert re.search(r"card_no +4111111111111111 +\*{12}1111 +no such column +no such column", ann)
    assert re.search(r"born +1985-03-14 +1985-03-14 +1985-01-01 +no such column", ann)
    assert re.search(r"full_name +Ben Baker +Ben Baker +no such column +no such row", ben)

    assert re.search(r"129\.90 +129\.90 +120\.00 +no such row", part(text, 2))

    stores = part(text, 3)
    said = {
        name: int(count) for name, count in re.findall(r"(?m)^(newsletter|crm_export|tickets) +(\d+) +\2 *$", stores)
    }
    assert set(said) == {"newsletter", "crm_export", "tickets"}
    assert min(said.values()) > CUSTOMERS / 3
    told = " ".join(stores.split())
    assert f"{CUSTOMERS + 5} customers of the shop, {sum(said.values())} records of other stores" in told
    assert "Again: 0 changes" in told
    right, of, waiting = map(int, re.findall(
        r"(\d+) of (\d+) are with their customer, 0 with another; (\d+) fit nobody or several", told)[0])  # fmt: skip
    new, everybody = map(
        int, re.findall(r"(\d+) are of people whom only the newsletter tool knows: the profile has (\d+)", told)[0]
    )
    assert right == of == sum(said.values()) - waiting - new
    assert everybody == CUSTOMERS + 5 + new > CUSTOMERS + 5
    assert 2 < waiting < CUSTOMERS / 10

    profile = part(text, 4)
    assert re.search(r"card_number +4111\d+ +\*+11 +no such column +no such column", profile)
    assert re.search(r"birth_date +1985-03-14 +1985-03-14 +1985-01-01 +no such column", profile)
    assert re.search(r"Marienplatz 1, +Marienplatz 1, *\n", profile)
    assert re.search(r"purchase_hist\S* +18\.00, paid, +18\.00, paid, +10\.00, paid, +18\.00, paid,", profile)

    assert re.search(r"interests +(\w+, \w+) +\1 +no such column +\1", profile)
    assert re.search(r"customer_group +(\w+) +\1 +\1 +no such column", profile)
    assert re.search(r"tickets +Is the kettle +Is the kettle +no such column +no such column", profile)
    for line in (
        r"email +ANN@example.org +newsletter +1", r"full_name +Archer, Ann +crm_export +C-1",
        r"phone +\(089\) 5550-101 +crm_export +C-1", r"tickets +Can the book be signed\?, Book, 2026-\S+ +tickets +1",
    ):  # fmt: skip
        assert re.search(rf"(?m)^{line} *$", profile), line

    review = part(text, 5)
    assert re.search(r"crm_export C-2 +customer 1: phone +customer 2: email", review)
    assert re.search(r"B\. Baker +Ann Archer +Ben Baker", review)
    assert review.count("crm_export C-") == 3

    before, after = {}, {}
    for line in part(text, 6).splitlines():
        cells = [cell.strip() for cell in line.split("│")]
        if len(cells) == 3 and cells[0].isdigit():
            before[cells[0]], after[cells[0]] = cells[1:]
    assert before["1"] == "Ann Archer  ann@example.org"
    assert after == {**before, "1": "no such row"}
    assert "consent withdraw 1 mailco email" in part(text, 6)

    bypasses = part(text, 7)
    assert [bypasses.count(state) for state in ("42703", "22P02", "42501")] == [2, 1, 3]
    assert "rows" not in re.sub(r"hidden rows", "", bypasses), "a bypass was answered"
    assert "4111" not in bypasses

    log = part(text, 8)
    assert '"event": "statement"' in log
    assert re.search(r'"event": "refused", "app": "crm"', log)
    assert "example.org" not in log
    assert "mailco_app:demo@127.0.0.1" in part(text, 9)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demo_stays_up_until_it_is_ended(demo: Callable[..., Demo], number: signal.Signals) -> None:
    stays = demo("--port", "0")
    stays.wait_for("Ctrl-C ends them")
    port = int(stays.wait_for(r"the gateway on port (\d+)")[1])
    with psycopg.connect(f"postgresql://mailco_app:demo@127.0.0.1:{port}/shop", autocommit=True) as connection:
        assert connection.execute("SELECT id FROM customers ORDER BY id").fetchall() == [(3,), (5,)]
    assert stays.end(number) == 0, stays.text
    assert stays.lines[-1] == "stopping ...\n"
    assert "Traceback" not in stays.text
    assert len(stays.below) > 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_what_the_demo_says_to_try_works(demo: Callable[..., Demo]) -> None:
    stays = demo("--port", "0")
    stays.wait_for("Ctrl-C ends them")

    def run(*words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment())
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def consentry(beginning: str) -> str:
        words = stays.tried(rf"\S+ {beginning}")
        return run(*COMMAND, *words[1:])

    psql = stays.tried(r"\S*psql")
    query = [*psql, "-XAtc", "SELECT id, email FROM customers ORDER BY id"]
    assert "2|" not in run(*query)
    assert "2 shares email with mailco" in consentry("consent grant")
    assert "2|ben@example.net" in run(*query)
    assert "mailco" in consentry("consent show")
    assert "public.customers" in consentry("explain")
    assert "Ben Baker" in consentry("profile review show")
    link = consentry("link").strip()
    ann = httpx.Client(follow_redirects=True)
    deadline = time.monotonic() + SECONDS
    while True:  # the pages begin beside what is said
        try:
            page = ann.get(link)
            break
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert page.status_code == 200
    assert "MailCo newsletters" in page.text
    token = consentry("token add").strip()
    address = stays.wait_for(r"# lets agents in: (\S+)")[1]
    with httpx.Client(follow_redirects=True) as agent:
        assert agent.post(f"{address}/login", data={"token": token}).status_code == 200
        assert "C-2" in agent.get(f"{address}/record", params={"source": "crm_export", "key": "C-2"}).text
    ann.close()
    (pattern,) = stays.tried("tail -f")[2:]
    files = list(Path("/").glob(pattern.removeprefix("/")))
    assert any("customers" in file.read_text() for file in files)
    assert stays.end(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "consentry-pg-*/data"),
        (signal.SIGTERM, "consentry-pg-*/data/postmaster.pid"),
        (signal.SIGTERM, "consentry-demo-*/audit"),
        (signal.SIGINT, "consentry-pg-*/data/postmaster.pid"),
        (signal.SIGINT, "consentry-demo-*/audit"),
        (signal.SIGHUP, "consentry-demo-*/consentry.yaml"),
    ],
)
def test_a_demo_that_is_ended_in_its_midst_leaves_nothing_behind(
    demo: Callable[..., Demo], temp: Path, number: signal.Signals, moment: str
) -> None:
    tour = demo("--port", "0")
    deadline = time.monotonic() + SECONDS
    while not list(temp.glob(moment)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    tour.end(number)
    assert "Traceback" not in tour.text
    left = [process for process in psutil.process_iter(["cmdline"]) if str(temp) in str(process.info["cmdline"])]
    assert left == []


def test_a_port_that_is_taken(demo: Callable[..., Demo]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        tour = demo("--exit", "--port", str(port))
        assert tour.end() == 1
    assert tour.lines[-1] == "consentry: the gateway cannot listen: Address already in use; try --port 0\n"


def test_a_reader_who_goes_away(temp: Path) -> None:
    """`consentry demo --exit --port 0 | head -1`."""
    process = subprocess.Popen(
        [*COMMAND, "demo", "--customers", "0", "--exit", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment(), "TMPDIR": str(temp)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(SECONDS) != 0
    assert b"Traceback" not in said

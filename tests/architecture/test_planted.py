"""The checks catch what they are for: each law is broken on purpose, away from the real tree."""

import re
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, get
from sqlalchemy import Column, Integer, MetaData, Table, Text

from . import house, rules
from .conftest import Linter
from .declared import route_violations, table_violations

PLANTED = {
    "api/areas/service.py": "import api.people.service",
    "api/areas/places.py": "from api.areas import service",
    "api/people/service.py": "import litestar, matching.text, workers.runtime",
    "api/people/rules.py": "from api.people import models",
    "api/people/models.py": "",
    "api/people/routes.py": "",
    "api/listings/service.py": "from api.people import routes\nfrom matching import rank",
    "api/matches/service.py": "import celery",
    "api/lottery/__init__.py": "",
    "matching/text.py": "import sqlalchemy",
    "matching/rank.py": "",
    "workers/runtime.py": "",
}


@pytest.fixture(scope="module")
def report(lint: Linter) -> str:
    """Return what import-linter says of a house with every planted import at once."""
    answer = lint(PLANTED)
    assert answer.returncode != 0
    return answer.stdout


@pytest.mark.parametrize(
    ("contract", "edge"),
    [
        ("a slice uses the slices below it", "api.areas.service -> api.people.service (l."),
        ("inside a slice", "api.areas.places -> api.areas.service (l."),
        ("deploy stands on workers", "api.people.service -> workers.runtime (l."),
        ("inside a slice", "api.people.rules -> api.people.models (l."),
        ("only api.app knows routes", "api.listings.service -> api.people.routes (l."),
        ("matching knows no database", "matching.text -> sqlalchemy (l."),
        ("matching is used by api.matches", "api.people.service -> matching.text (l."),
        ("matching is used by api.matches", "api.listings.service -> matching.rank (l."),
        ("litestar is imported only by", "api.people.service -> litestar (l."),
        ("api reaches the queue by an outbox row", "api.matches.service -> celery (l."),
        ("a slice uses the slices below it", "- api.lottery"),
    ],
    ids=[
        "an upward import between slices",
        "an upward import of rules in a file of their own",
        "an upward import between packages",
        "an upward import inside a slice",
        "routes imported by a service",
        "sqlalchemy in matching",
        "matching in people",
        "more than matching.text in listings",
        "litestar in a service",
        "celery in api",
        "a slice without a rank",
    ],
)
def test_import_linter_catches(report: str, contract: str, edge: str) -> None:
    parts = re.split(r"\n(.+)\n-{5,}\n", report.partition("Broken contracts")[2])
    bodies = {name: body for name, body in pairwise(parts) if name.startswith(contract)}
    assert edge in "".join(bodies.values())


def _found(path: str, text: str) -> list[str]:
    return rules.violations(rules.Source(path, textwrap.dedent(text)))


def _function(lines: int) -> str:
    return "def long():\n" + "    pass\n" * (lines - 1)


SERVICE = "api/people/service.py"


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        ("commit", SERVICE, "async def tell(session):\n    await session.commit()"),
        ("commit", SERVICE, "async def tell(session):\n    async with session.begin(): pass"),
        ("commit", "workers/relay.py", "connection.execute('COMMIT')"),
        ("clock", SERVICE, "from datetime import datetime, UTC\nat = datetime.now(UTC)"),
        ("clock", SERVICE, "import datetime as dt\nat = dt.date.today()"),
        ("clock", SERVICE, "from time import time as t\nat = t()"),
        ("clock", SERVICE, "import datetime\nfield(default_factory=datetime.datetime.utcnow)"),
        ("clock", SERVICE, "from sqlalchemy import func\nat = func.now()"),
        ("clock", "matching/rank.py", "import time\nstart = time.perf_counter()"),
        ("clock", SERVICE, "from time import monotonic\nstart = monotonic()"),
        ("length", SERVICE, _function(71)),
        ("lazy", "api/people/models.py", "story = relationship('Story')"),
        ("lazy", "api/people/models.py", "story = orm.relationship('Story', lazy='select')"),
        ("log", SERVICE, "log.info(f'{words} came in')"),
        ("log", SERVICE, "self._logger.info('person %s' % name)"),
        ("log", SERVICE, "log.bind(a=1).warning('said', words)"),
        ("log", SERVICE, "import structlog\nvoice = structlog.get_logger()\nvoice.info('a' + b)"),
        ("log", SERVICE, "log.info('said', what=f'{words}')"),
        ("log", SERVICE, "log.info('said', words=words)"),
        ("log", SERVICE, "log.info('said', **all_of_it)"),
        ("log", SERVICE, "try: pass\nexcept OSError as error: log.info('x', why_not=str(error))"),
        ("side-door", SERVICE, "from api.areas import queries"),
        ("side-door", SERVICE, "from ..areas.queries import clocks"),
        ("side-door", "api/budgets/queries.py", "from api.ledger.models import Account"),
        ("escape", SERVICE, "at = 1  # rule: clock because nothing here needs it"),
        ("escape", "api/app.py", "await session.commit()  # rule: commit"),
    ],
)
def test_a_planted_line_is_caught(rule: str, path: str, text: str) -> None:
    found = _found(path, text)
    assert any(f" {rule}: " in line for line in found), found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("api/core/db.py", "await session.commit()"),
        ("api/core/clock.py", "from datetime import datetime, UTC\nat = datetime.now(UTC)"),
        ("workers/relay.py", "import time\nstart = time.monotonic()"),
        ("api/core/http.py", "import time\nstart = time.perf_counter()\ntrace.begin(given)"),
        (SERVICE, _function(70)),
        (SERVICE, "async with session.begin_nested(): pass"),
        (SERVICE, "log.info('person_told', person_id=person.id, count=len(words_list))"),
        (SERVICE, "from api.areas.rules import FACTS\nfrom api.core.db import WriteSession"),
        (SERVICE, "from api.people import queries"),
        (SERVICE, "from api.areas.places import Postcode"),
        ("api/people/models.py", "story = relationship('Story', lazy='raise')"),
        ("workers/relay.py", "row.commit()  # rule: commit because the row is a file's"),
        ("tests/api/test_people.py", "connection.commit()"),
    ],
)
def test_a_line_that_keeps_the_rules_is_left_alone(path: str, text: str) -> None:
    assert _found(path, text) == []


@get("/open", sync_to_thread=False)
def no_guard() -> None: ...


def _allow_citizens(*_: Any) -> None: ...


def _allow_silently(*_: Any) -> None: ...


_allow_citizens.declares = "a citizen, of themselves"  # type: ignore[attr-defined]


@get("/silent", guards=[_allow_silently], sync_to_thread=False)
def silent_guard() -> None: ...


@get("/said", guards=[_allow_citizens], sync_to_thread=False)
def declared() -> None: ...


def test_a_route_without_authorisation_is_caught() -> None:
    app = Litestar([no_guard, silent_guard, declared])
    assert route_violations(app.routes) == [
        "GET /open declares no authorisation",
        "GET /silent declares no authorisation",
    ]


def test_a_personal_column_without_a_sharing_rule_is_caught() -> None:
    metadata = MetaData()
    Table(
        "diary",
        metadata,
        Column("id", Integer, info={"sharing": "row"}),
        Column("page", Text),
        Column("cover", Text, info={"sharing": "whoever"}),
        info={"personal": True},
    )
    Table("bus_stop", metadata, Column("id", Integer), info={"personal": False})
    Table("quiet", metadata, Column("id", Integer))
    assert table_violations(tables=metadata.tables.values(), rules={"row": "..."}) == [
        "diary.cover has no sharing rule",
        "diary.page has no sharing rule",
        "quiet does not say whether it is personal",
    ]


def test_a_slice_that_is_not_on_the_map_is_caught() -> None:
    standing = ["api/lottery/service.py", "api/areas/dice.py", "api/areas/rules.py", "notes.txt"]
    mapped = house.read_map("# Map\n\n```map\napi/  all\napi/areas/  one\napi/gone/  two\n```\n")
    assert house.map_violations(standing=standing, mapped=mapped) == [
        "api/areas/dice.py is not on the map",
        "api/gone/ is on the map and does not stand",
        "api/lottery/ is not on the map",
        "notes.txt is not on the map",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "see https://files.python{0}hosted.org/x",
        "--index-url https://py{0}pi.org/simple",
        "cd /ro{0}ot/kith",
        "open('/ho{0}me/ann/kith')",
        "write to ann{0}@kith.org.uk",
    ],
)
def test_a_host_a_path_or_an_address_is_caught(line: str) -> None:
    """The lines are put together here, so that this file keeps the rule itself."""
    assert len(house.slip_violations(path="notes.md", text=line.format(""))) == 1


def test_reserved_addresses_and_paths_of_the_site_are_left_alone() -> None:
    text = "ann@example.org bob@kith.example api/home/page.py {base}/home/x postgresql://u@/db"
    assert house.slip_violations(path="notes.md", text=text) == []


GOOD_HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    "line",
    [
        "kith==1.0",
        f"kith>=1.0 {GOOD_HASH}",
        "kith==1.0 --hash=md5:00",
        f"kith @ https://kith.example/kith.whl {GOOD_HASH}",
        "--index-url https://kith.example/simple",
        "--find-links wheels",
        "-e .",
    ],
)
def test_a_lock_that_is_not_exact_is_caught(line: str) -> None:
    assert len(house.lock_violations(path="a.lock", text=line)) == 1


def test_a_lock_with_markers_extras_and_many_hashes_is_left_alone() -> None:
    text = f"celery[redis]==5.7.0 ; os_name > 'a' \\\n {GOOD_HASH} \\\n {GOOD_HASH}\n# via x"
    assert house.lock_violations(path="a.lock", text=text) == []


def test_files_are_found_without_git_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("api/a.py", ".venv/b.py", "api/__pycache__/c.pyc", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert house.files(root=tmp_path) == ["README.md", "api/a.py"]

"""The API does what its OpenAPI document says, whatever is sent: schemathesis, over TCP.

A real server process, asked as nobody, as a citizen who is in a group with money of their own, and
as an area's admin who keeps its money; with --deep at length: every kind of mistake in every field,
and much that is random. Where an address names a group, its vote, a promise, a budget or a go-ahead
it is the citizen's, so that what is behind the first look is tried too.
"""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from api.core.config import Settings
from api.core.db import Database
from api.identity.rules import Role
from tests.fixtures.crew import Crew, until
from tests.fixtures.front import serving
from tests.fixtures.servers import Servers
from tests.groups import Member, found_town
from tests.make import Maker, good

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
# A token that ends itself would leave the rest of the run signed out.
ENDS_ITSELF = ("/v1/sessions/current", "/v1/sessions/rotate")
SHORT = ("--phases", "examples,fuzzing", "--max-examples", "1")
ADMIN: tuple[Role, ...] = ("area_admin", "provider", "professional", "finance", "manager")
DEEP = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "150")


@dataclass(frozen=True, slots=True)
class Askers:
    """Tokens by who asks; and the ids of what there is, by their names in addresses."""

    tokens: dict[str, str | None]
    known: dict[str, str]


@pytest.fixture(scope="module")
def contract_settings(servers: Servers) -> Settings:
    """Return settings of a database of this module's own: it will be full of nonsense."""
    return servers.settings(servers.clone())


@pytest.fixture(scope="module")
def askers(contract_settings: Settings) -> Askers:
    """Make three askers, before there are too many tries, and let one of them have a group."""

    async def make() -> Askers:
        database = Database(contract_settings.database_url, application_name="kith-test")
        async with serving(contract_settings) as client:
            maker = Maker(client, database)
            admin = await maker.account(None, *ADMIN)
            citizen = await maker.account(admin.area)
            story = await maker.story(account=citizen)
            await maker.listing(admin)
            town = await found_town(maker, database, area=admin.area)
            own = await maker.budget(story, kind="own_money", pence=1_000)
            given = await maker.budget(story, pence=1_000, funder=town.council)
            other = await town.person(kind="own_money")
            me = Member(story, own)
            await town.start([me, other])
            await town.costed(sessions=2, lines=[{"words": "x", "purpose": "dance", "pence": 1}])
            await town.pledging()
            promised = good(await town.promise(me, 1))
            for one in (Member(story, given), other):
                good(await town.promise(one, 1))
            await town.review()
            asked = await town.sign_offs(town.manager)
            vote = (await town.get("", me))["votes"][0]["id"]
        await database.close()
        return Askers(
            tokens={"nobody": None, "citizen": citizen.token, "area_admin": admin.token},
            known={
                "pool_id": str(town.pool_id),
                "vote_id": vote,
                "pledge_id": promised["id"],
                "budget_id": str(given.id),
                "sign_off_id": asked[0]["id"],
            },
        )

    return asyncio.run(make())


@pytest.fixture(scope="module")
def api(
    contract_settings: Settings,
    askers: Askers,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Run a real API process; lend its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with Crew(contract_settings, logs=tmp_path_factory.mktemp("api")) as crew:
        crew.start("api", ["-m", "deploy.cli", "api", "--port", str(port)])
        until(lambda: _answers(url), seconds=60, what="the API")
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready").is_success
    except httpx2.TransportError:
        return False


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("who", ["nobody", "area_admin", "citizen"])
def test_every_answer_is_one_that_the_document_names(
    api: str, askers: Askers, who: str, deep: bool, tmp_path: Path
) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api}/docs/openapi.json"),
        *("--checks", ",".join(CHECKS), *(DEEP if deep else SHORT), "--continue-on-failure"),
        *("--suppress-health-check", "all", "--warnings", "off", "--no-color"),
    ]
    named = "".join(f'"path.{name}" = "{one}"\n' for name, one in askers.known.items())
    (tmp_path / "schemathesis.toml").write_text(f"[parameters]\n{named}")
    token = askers.tokens[who]
    if token is not None:
        command += ["--header", f"Authorization: Bearer {token}"]
        command += [word for path in ENDS_ITSELF for word in ("--exclude-path", path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]


def test_options_names_every_method_of_an_address(api: str) -> None:
    document = httpx2.get(f"{api}/docs/openapi.json").json()
    for path, operations in document["paths"].items():
        concrete = path.replace("{number}", "1")
        concrete = re.sub(r"\{[^}]*\}", "0190a000-0000-7000-8000-000000000000", concrete)
        answer = httpx2.request("OPTIONS", f"{api}{concrete}")
        told = set(answer.headers["allow"].split(", ")) - {"HEAD"}
        assert told == {method.upper() for method in operations} | {"OPTIONS"}, path

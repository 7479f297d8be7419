"""The API does what its OpenAPI document says, whatever is sent: schemathesis, over TCP.

A real server process, asked as nobody, as a citizen with a story and as an area's admin. In the
plain run each operation gets a moment; with --deep, many.
"""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from api.core.config import Settings
from api.core.db import Database
from tests.fixtures.crew import Crew, until
from tests.fixtures.front import serving
from tests.fixtures.servers import Servers
from tests.make import Maker

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
SHORT = ("--phases", "examples,fuzzing,stateful", "--max-examples", "4")
DEEP = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "150")


@pytest.fixture(scope="module")
def contract_settings(servers: Servers) -> Settings:
    """Return settings of a database of this module's own: it will be full of nonsense."""
    return servers.settings(servers.clone())


@pytest.fixture(scope="module")
def tokens(contract_settings: Settings) -> dict[str, str | None]:
    """Return the tokens of three askers, made before there are too many tries."""

    async def make() -> dict[str, str | None]:
        database = Database(contract_settings.database_url, application_name="kith-test")
        async with serving(contract_settings) as client:
            maker = Maker(client, database)
            admin = await maker.account(None, "area_admin", "provider", "professional")
            citizen = await maker.account(admin.area)
            await maker.story(account=citizen)
            await maker.listing(admin)
        await database.close()
        return {"nobody": None, "citizen": citizen.token, "area_admin": admin.token}

    return asyncio.run(make())


@pytest.fixture(scope="module")
def api(
    contract_settings: Settings,
    tokens: dict[str, str | None],
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
@pytest.mark.parametrize("who", ["nobody", "citizen", "area_admin"])
def test_every_answer_is_one_that_the_document_names(
    api: str, tokens: dict[str, str | None], who: str, deep: bool, tmp_path: Path
) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api}/docs/openapi.json"),
        *("--checks", ",".join(CHECKS), *(DEEP if deep else SHORT), "--continue-on-failure"),
        *("--suppress-health-check", "all", "--warnings", "off", "--no-color"),
    ]
    if tokens[who] is not None:
        command += ["--header", f"Authorization: Bearer {tokens[who]}"]
        command += [word for path in ENDS_ITSELF for word in ("--exclude-path", path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]


def test_options_names_every_method_of_an_address(api: str) -> None:
    document = httpx2.get(f"{api}/docs/openapi.json").json()
    for path, operations in document["paths"].items():
        concrete = re.sub(r"\{[^}]*\}", "0190a000-0000-7000-8000-000000000000", path)
        answer = httpx2.request("OPTIONS", f"{api}{concrete}")
        told = set(answer.headers["allow"].split(", ")) - {"HEAD"}
        assert told == {method.upper() for method in operations} | {"OPTIONS"}, path

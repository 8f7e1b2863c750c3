"""The HTTP API as a client sees it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from console import label_reports
from console.api import (
    ALERTS_MOST,
    ClassifierDetails,
    ClassifierView,
    LabelSpaceDetails,
    LabelSpaceView,
    ReferenceView,
    RevisionView,
    Services,
    SetDetails,
    SetView,
    create_api,
)
from console.classifier_reports import details, summary_row
from console.services.policies import PolicyBook
from shared.adapters.alert_log import AlertLog
from shared.adapters.role import SystemClock
from shared.core.policy_file import POLICIES_KEY, KnownNames
from shared.errors import UsageError
from shared.sealing import Sealer
from tests.classifier_factories import make_classifier
from tests.factories import SET, SHA256, make_alert
from tests.label_factories import make_space
from tests.memory_store import MemoryStore
from workers.classifying.revision_log import Revision

TOKEN = "a-token"
CLASSIFIER = make_classifier("receipt", "invoice")
TRAINED = Revision(number=3, kind="classifier", blob="classifiers/1", at=0.0, note="")
PUBLISHED = Revision(number=5, kind="label space", blob="classifiers/2", at=0.0, note="")
SCENES = make_space().card
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
VIEW = SetView(name=SET, threshold=85.0, relation="copy", thorough=True, prior=0.001, keep_thumbnail=True, references=2)
ITEMS = [
    ReferenceView(reference="r-1", name="pump.png", sha256=SHA256, bytes={"vectors": 2048}, thumbnail=True),
    ReferenceView(reference="r-2", name="valve.png", sha256=SHA256, bytes={"vectors": 2048}, thumbnail=False),
]
DETAILS = SetDetails(**VIEW.model_dump(), items=ITEMS)
PICTURE = b"a JPEG"
REVISION = RevisionView(
    revision=7,
    at=datetime.fromtimestamp(1_800_000_000, UTC),
    what="removed",
    reference="r-3",
    name=None,
    threshold=None,
    rolled_back_to=None,
    kept=True,
)
THUMBNAIL = "/sets/{name}/references/{reference}/thumbnail"
OF_SET = (f"/sets/{SET}", f"/sets/{SET}/history", f"/sets/{SET}/references/r-1/thumbnail")
GUARDED = (
    "/sets",
    *OF_SET,
    "/classifiers",
    "/classifiers/documents",
    "/labels",
    "/labels/scenes",
    "/policies",
    "/alerts",
)
PROBLEM = "application/problem+json"


class Sets:
    """One image set."""

    async def list(self) -> list[SetView]:
        return [VIEW]

    async def show(self, name: str) -> SetDetails:
        if name != SET:
            raise UsageError(f"there is no image set {name}")
        return DETAILS

    async def history(self, name: str) -> tuple[RevisionView, ...]:
        await self.show(name)
        return (REVISION,)

    async def thumbnail(self, name: str, reference: str) -> bytes:
        if reference not in {item.reference for item in ITEMS}:
            raise UsageError(f"{name} has no {reference}")
        return PICTURE if reference == "r-1" else b""


class Classifiers:
    """One classifier, as the console role reads it."""

    async def list(self) -> list[ClassifierView]:
        return [ClassifierView(**summary_row(TRAINED, CLASSIFIER))]

    async def show(self, name: str) -> ClassifierDetails:
        if name != CLASSIFIER.name:
            raise UsageError(f"no classifier is named {name}")
        return ClassifierDetails(**details(TRAINED, CLASSIFIER))


class LabelSpaces:
    """One label space."""

    async def list(self) -> list[LabelSpaceView]:
        return [LabelSpaceView(**label_reports.summary_row("scenes", PUBLISHED, SCENES))]

    async def show(self, name: str) -> LabelSpaceDetails:
        if name != "scenes":
            raise UsageError(f"no label space is named {name}")
        return LabelSpaceDetails(**label_reports.details(name, PUBLISHED, SCENES))


class Deployment:
    """What the API serves, and a client of it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.alerts = AlertLog(self.store, Sealer(bytes(32)))
        self.policies = PolicyBook(self.store, SystemClock(), self._known)
        services = Services(
            sets=Sets(),
            classifiers=Classifiers(),
            labels=LabelSpaces(),
            policies=self.policies,
            alerts=self.alerts,
            viewer_token=TOKEN,
            pac=lambda: "a PAC file",
        )
        self.api = create_api(services)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.api), base_url="http://console/api/v1", headers=AUTHORIZED
        )

    async def _known(self) -> KnownNames:
        return KnownNames(sets=frozenset({SET}))


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    made = Deployment()
    yield made
    await made.client.aclose()


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """RFC 9457: a media type of its own, and the members that everybody may rely on."""
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM)
    values: dict[str, Any] = response.json()
    assert values["status"] == status
    assert values["type"] == "about:blank"
    assert values["title"]
    assert values["detail"]
    return values


async def test_health_and_the_openapi_document_are_open(deployment: Deployment) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=deployment.api), base_url="http://console"
    ) as nobody:
        health = await nobody.get("/api/v1/health")
        assert (health.status_code, health.json()["status"]) == (200, "ok")
        assert health.json()["version"] == deployment.api.version
        assert (await nobody.get("/api/v1/openapi.json")).status_code == 200


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer ", f"Basic {TOKEN}", "Bearer \xe4", TOKEN])
async def test_everything_else_needs_the_token(deployment: Deployment, path: str, given: str | None) -> None:
    headers = {} if given is None else {b"Authorization": given.encode("latin-1")}
    transport = httpx.ASGITransport(app=deployment.api)
    async with httpx.AsyncClient(transport=transport, base_url="http://console/api/v1") as nobody:
        response = await nobody.get(path, headers=headers)
    assert_problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"


async def test_there_are_no_pages_that_load_scripts_from_elsewhere(deployment: Deployment) -> None:
    for path in ("http://console/docs", "http://console/redoc"):
        assert_problem(await deployment.client.get(path), 404)


async def test_sets_are_listed_and_shown(deployment: Deployment) -> None:
    listed = await deployment.client.get("/sets")
    options = {"threshold": 85.0, "relation": "copy", "thorough": True, "prior": 0.001, "keep_thumbnail": True}
    assert listed.json() == [{"name": SET, **options, "references": 2}]
    shown = await deployment.client.get(f"/sets/{SET}")
    assert shown.json()["items"][0] == {
        "reference": "r-1",
        "name": "pump.png",
        "sha256": SHA256,
        "bytes": {"vectors": 2048},
        "thumbnail": True,
    }


async def test_what_happened_to_a_set_is_listed(deployment: Deployment) -> None:
    listed = await deployment.client.get(f"/sets/{SET}/history")
    assert listed.json() == [
        {
            "revision": 7,
            "at": "2027-01-15T08:00:00Z",
            "what": "removed",
            "reference": "r-3",
            "name": None,
            "threshold": None,
            "rolled_back_to": None,
            "kept": True,
        }
    ]
    assert_problem(await deployment.client.get("/sets/other/history"), 404)


async def test_a_kept_thumbnail_is_a_picture_that_nobody_caches(deployment: Deployment) -> None:
    response = await deployment.client.get(f"/sets/{SET}/references/r-1/thumbnail")
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, PICTURE, "image/jpeg")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("reference", ["r-2", "nobody"])
async def test_a_thumbnail_that_is_not_kept_is_a_problem(deployment: Deployment, reference: str) -> None:
    assert_problem(await deployment.client.get(f"/sets/{SET}/references/{reference}/thumbnail"), 404)


async def test_an_unknown_set_is_a_problem(deployment: Deployment) -> None:
    problem = assert_problem(await deployment.client.get("/sets/nope"), 404)
    assert problem["detail"] == "there is no image set nope"


async def test_policies_come_with_the_text_they_were_applied_from(deployment: Deployment) -> None:
    text = f"policies: # as written\n- {{name: a, when: {{any: [{{set: {SET}}}]}}, then: {{action: block}}}}\n"
    await deployment.policies.apply(text)
    document = (await deployment.client.get("/policies")).json()
    assert document["text"] == text
    expected = {"name": "a", "action": "block", "mode": "enforce", "severity": "medium", "deadline_ms": 1500}
    assert document["policies"] == [expected]


async def test_without_policies_the_list_is_empty(deployment: Deployment) -> None:
    assert (await deployment.client.get("/policies")).json()["policies"] == []


async def test_alerts_come_newest_first(deployment: Deployment) -> None:
    await deployment.alerts.append([make_alert(incident=f"incident-{number}") for number in range(5)])

    async def incidents(**query: int) -> list[str]:
        response = await deployment.client.get("/alerts", params=query)
        return [event["finding_info"]["uid"] for event in response.json()]

    assert await incidents(count=2) == ["incident-4", "incident-3"]
    assert await incidents() == [f"incident-{number}" for number in (4, 3, 2, 1, 0)]


async def test_alerts_forgotten_meanwhile_are_no_mistake(deployment: Deployment) -> None:
    await deployment.alerts.append([make_alert(incident=f"incident-{number}") for number in range(5)])
    await deployment.alerts.truncate(4)
    assert len((await deployment.client.get("/alerts?count=3")).json()) == 1
    assert (await deployment.client.get("/alerts")).json()[0]["class_uid"] == 2006


@pytest.mark.parametrize("count", ["0", "-1", str(ALERTS_MOST + 1), "x"])
async def test_the_count_of_alerts_is_bounded(deployment: Deployment, count: str) -> None:
    problem = assert_problem(await deployment.client.get(f"/alerts?count={count}"), 422)
    assert "count" in problem["detail"]


@pytest.mark.parametrize("path", ["/policies", "/alerts"])
async def test_a_store_that_is_down_is_unavailable(deployment: Deployment, path: str) -> None:
    deployment.store.down = True
    assert_problem(await deployment.client.get(path), 503)


@pytest.mark.error_logs("cannot be read")
@pytest.mark.parametrize("stored", [b"no document", b'{"text": "policies: {", "applied_at": 1}'])
async def test_what_the_store_should_not_hold_is_no_fault_of_the_request(deployment: Deployment, stored: bytes) -> None:
    await deployment.store.compare_and_set(POLICIES_KEY, None, stored)
    assert_problem(await deployment.client.get("/policies"), 500)


async def test_other_methods_and_paths_are_problems(deployment: Deployment) -> None:
    refused = await deployment.client.post("/sets")
    assert_problem(refused, 405)
    assert refused.headers["allow"] == "GET"
    assert_problem(await deployment.client.get("/nothing"), 404)


def test_the_openapi_document_describes_every_route() -> None:
    document = Deployment().api.openapi()
    assert document["openapi"].startswith("3.")
    assert document["info"]["title"] == "Safelight"
    routes = ("/health", "/sets", "/sets/{name}", "/sets/{name}/history", THUMBNAIL, "/policies", "/alerts")
    paths = {f"/api/v1{path}" for path in (*routes, "/classifiers", "/classifiers/{name}", "/labels", "/labels/{name}")}
    assert document["paths"].keys() == paths
    for path, methods in document["paths"].items():
        operation = methods["get"]
        media_type = "image/jpeg" if path.endswith("/thumbnail") else "application/json"
        assert operation["responses"]["200"]["content"][media_type]["schema"], path
        assert bool(operation.get("security")) == (path != "/api/v1/health"), path
        parameters = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert parameters == {step for step in ("name", "reference") if f"{{{step}}}" in path}
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_every_reference_inside_the_openapi_document_leads_somewhere() -> None:
    document = Deployment().api.openapi()
    references = list(_references(document))
    assert references
    for reference in references:
        node: Any = document
        for step in Path(reference.removeprefix("#/")).parts:
            node = node[step]


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


async def test_a_browser_is_told_what_is_there(deployment: Deployment) -> None:
    transport = httpx.ASGITransport(app=deployment.api)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as nobody:
        response = await nobody.get("/")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "http://console/api/v1/alerts" in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/proxy.pac", "/wpad.dat"])
async def test_the_pac_file_is_open_and_of_its_type(deployment: Deployment, path: str) -> None:
    transport = httpx.ASGITransport(app=deployment.api)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as nobody:
        response = await nobody.get(path)
    assert (response.status_code, response.text) == (200, "a PAC file")
    assert response.headers["content-type"].partition(";")[0] == "application/x-ns-proxy-autoconfig"


async def test_classifiers_and_their_rates_are_read(deployment: Deployment) -> None:
    (listed,) = (await deployment.client.get("/classifiers")).json()
    assert (listed["classifier"], listed["revision"], listed["labels"]) == ("documents", 3, ["invoice", "receipt"])
    shown = (await deployment.client.get("/classifiers/documents")).json()
    assert [rate["label"] for rate in shown["rates"]] == ["invoice", "receipt"]
    assert shown["rates"][0]["true_positives"]["tried"] == 20
    assert_problem(await deployment.client.get("/classifiers/rooms"), 404)


async def test_label_spaces_and_their_labels_are_read(deployment: Deployment) -> None:
    (listed,) = (await deployment.client.get("/labels")).json()
    assert (listed["label_space"], listed["revision"], listed["labels"]) == ("scenes", 5, 3)
    shown = (await deployment.client.get("/labels/scenes")).json()
    assert (shown["names"], shown["figures"]) == (["cat", "car", "street"], {"map": 0.5})
    assert_problem(await deployment.client.get("/labels/rooms"), 404)

"""The whole API as its OpenAPI document has it, asked by schemathesis: nothing fails, and nothing is undocumented."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serving.client import Running

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = (
    "DELETE /v1/videos/{job}",
    "GET /livez",
    "GET /metrics",
    "GET /readyz",
    "GET /v1/models",
    "GET /v1/videos/{job}",
    "GET /v1/videos/{job}/record",
    "GET /v1/videos/{job}/result",
    "POST /v1/landmarks",
    "POST /v1/reconstructions",
    "POST /v1/regions",
    "POST /v1/restorations",
    "POST /v1/videos",
)


@pytest.fixture(scope="module")
def operations(service: Running) -> dict[str, Any]:
    """What the service says can be asked, by method and path."""
    schema = schemathesis.openapi.from_dict(service.get("/v1/openapi.json").json)
    return {one.label: one for one in (found.ok() for found in schema.get_all_operations())}


def test_all_that_can_be_asked_is_known_here(operations: dict[str, Any]) -> None:
    assert sorted(operations) == list(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_is_described(label: str, operations: dict[str, Any], service: Running) -> None:
    where = f"http://127.0.0.1:{service.port}"

    @settings(max_examples=25, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(case=operations[label].as_strategy())
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=where, headers=service.mine, checks=CHECKS)

    ask()


@pytest.mark.parametrize("label", OPERATIONS)
def test_without_a_token_every_answer_is_a_refusal(label: str, operations: dict[str, Any], service: Running) -> None:
    where = f"http://127.0.0.1:{service.port}"

    @settings(max_examples=2, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(case=operations[label].as_strategy())
    def ask(case: Any) -> None:
        assert case.call(base_url=where).status_code == (200 if label in ("GET /livez", "GET /readyz") else 401)

    ask()

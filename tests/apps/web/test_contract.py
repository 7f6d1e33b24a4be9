"""The API against its own description: nothing undocumented, no failure, whatever is asked."""

import shutil

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)


def refused_where_unsound(context, response, case):
    """Too long is a refusal too, though the check of that name does not count it as one."""
    return None if response.status_code in (413, 414) else negative_data_rejection(context, response, case)


CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    response_headers_conformance, refused_where_unsound,
]  # fmt: skip


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["sound", "unsound"])
def test_every_answer_is_one_of_those_described(serve, models, mode, long_form, tmp_path):
    service = serve(shutil.copy(models["rating"], tmp_path / "served.safetensors"))  # which refits switch
    tried = []
    for found in schemathesis.openapi.from_dict(service.ask("GET", "/openapi.json")[1]).get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=300 if long_form else 12, deadline=None, phases=[Phase.generate], derandomize=True,
            database=None, suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def check(case):
            case.call_and_validate(base_url=f"http://127.0.0.1:{service.port}", checks=CHECKS)
            tried.append(case.path)

        if mode is GenerationMode.POSITIVE or operation.path_parameters or operation.query or operation.body:
            check()
    assert len(set(tried)) >= 8

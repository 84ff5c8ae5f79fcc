"""Schemathesis sends requests made from the OpenAPI document and checks the responses against it."""

import subprocess
import sys
from pathlib import Path

from app.main import create_app
from app.server.protocol import BoundedHttp
from app.settings import Settings
from tests.amounts import cases
from tests.servers import serving

EXAMPLES = cases(60)  # of each operation: about 1,200 cases in all, or 400
# a JSON Schema can't say that a text needs a letter and has to name food, or that "45" is accepted as 45
NOT_CHECKED = "negative_data_rejection,positive_data_acceptance"


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """There is no 5xx and no undocumented status, media type, header or schema."""
    with serving(create_app(Settings(standin_ttft_ms=0, standin_tokens_per_s=0)), http=BoundedHttp) as url:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"),
            *("--max-examples", str(EXAMPLES), "--exclude-checks", NOT_CHECKED, "--no-color"),
            *("--exclude-path", "/race"),
            "--generation-deterministic",  # the same cases in each run
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout[-5000:]

"""Runs schemathesis over the native API: run.py BASE_URL STORE EXAMPLES [PHASES]. The token is in the variable TOKEN.

Each operation gets up to EXAMPLES examples a phase. The store of all examples is STORE, because examples of other
stores would all be 404. The stream of notifications is left out: it does not end. It exits with the status of
schemathesis.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

here = pathlib.Path(__file__).resolve().parent
url, store, examples = sys.argv[1:4]
phases = sys.argv[4] if len(sys.argv) > 4 else "examples,coverage,fuzzing,stateful"

with urllib.request.urlopen(f"{url}/v1/openapi.json") as answer:
    document = json.load(answer)
document["components"]["parameters"]["store_id"]["schema"] = {"type": "string", "enum": [store]}
# No example may name a server that exists (RFC 2606).
webhook = document["components"]["schemas"]["WebhookRequest"]["properties"]["target"]
webhook["pattern"] = r"^https?://[a-z0-9]{1,20}\.invalid(:[0-9]{1,5})?([/?][A-Za-z0-9._~%-]{0,100})?$"

with tempfile.TemporaryDirectory() as folder:
    work = pathlib.Path(folder)
    (work / "openapi.json").write_text(json.dumps(document))
    # 422 is an idempotency key that an earlier example used for another request.
    (work / "schemathesis.toml").write_text(
        f"""
        hooks = "{here / 'hooks.py'}"
        [checks.positive_data_acceptance]
        expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]
        """)
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", url, "--checks", "all",
        "--header", f"Authorization: Bearer {os.environ['TOKEN']}", "--max-examples", examples, "--phases", phases,
        "--exclude-operation-id", "streamNotifications", "--continue-on-failure", "--workers", "2",
        "--request-timeout", "30",
        # How fast schemathesis makes its examples is of no interest, and depends on what else the machine does.
        "--suppress-health-check", "too_slow",
    ]
    sys.exit(subprocess.run(command, cwd=work).returncode)

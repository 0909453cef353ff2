"""What clients asked of the API server, from its audit log: requests are counted by what the server did, whatever the
protocol that they came over."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The administrator makes thousands of objects; what is tested is what the others do.
POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "userGroups": ["system:masters"]}, {"level": "Metadata"}],
}


@dataclass(frozen=True)
class Request:
    """One request. A watch counts from its start, others when they are answered."""

    verb: str  # get, list, watch, create, ...
    path: str  # with the query
    status: int


def read_requests(log: Path, user: str) -> list[Request]:
    """The requests of one user, in the order in which the server took note of them."""
    requests: dict[str, Request] = {}
    if not log.exists():
        return []
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["user"].get("username") == user and event["auditID"] not in requests:
            status = event.get("responseStatus", {}).get("code", 0)
            requests[event["auditID"]] = Request(event["verb"], event["requestURI"], status)
    return list(requests.values())

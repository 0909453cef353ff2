"""What the tests of felix' configuration share: a small world, FelixConfigurations, its HTTP ports."""

import socket
import urllib.error
import urllib.request

from calculation.resources import resource
from node_agent import NODE, SECONDS
from server import wait_for

WORLD = {"Namespace bank": {}, "Pod bank/web-0": {"labels": {"app": "web"}, "ip": "10.0.0.2"},
         "GlobalNetworkPolicy p": {"ingress": [{"action": "Allow"}]}}
WEB = "bank/web-0"
SERVING, CANNOT_SERVE = "Serving the Policy Sync API", "Cannot serve the Policy Sync API"


def settings(name="default", **spec):
    return resource(f"FelixConfiguration {name}", spec)


def run(node, *arguments, **environment):
    node.run("--directory", node.resources, "--node", NODE, *arguments, environment=environment)
    node.expect_log("Felix is running")
    return node


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def http(port, path):
    """(status, body); None if nobody is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


def expect_http(port, path, status):
    assert wait_for(lambda: (http(port, path) or [None])[0] == status, SECONDS), http(port, path)
    return http(port, path)[1] if status else None

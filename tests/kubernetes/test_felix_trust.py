"""Whom felix trusts, and by what way it goes: what a kubeconfig says counts, as it is now, whatever the environment says."""

from ipaddress import ip_address
from pathlib import Path
from typing import Iterator

import pytest
import yaml
from agents import agent_of, client_of
from connect_proxy import ConnectProxy
from cryptography import x509
from fake import FakeServer
from fake_world import WEB, expected, kubeconfig, things
from mesh.certificates import Authority


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with FakeServer(tmp_path / "server") as made:
        made.objects = things()
        yield made


def test_authority_is_replaced(server: FakeServer, tmp_path: Path) -> None:
    """The one that was taken out of the file is not trusted any more, the new one is, and felix runs on."""
    config = kubeconfig(server, tmp_path)
    authority = tmp_path / "authority"
    authority.write_bytes(server.root.read_bytes())
    config.write_text(config.read_text().replace(str(server.root), str(authority)))
    new = Authority(tmp_path / "new", "new").issue("server", x509.IPAddress(ip_address("127.0.0.1")))
    with agent_of(config) as felix:
        with client_of(felix.expect_ready(), WEB) as client:
            client.expect_state(expected(server.objects))
        felix.expect_watching()
        authority.write_bytes(new.authority.read_bytes())
        asked = server.requests.total()
        server.drop_connections()
        felix.expect(lambda: felix.kinds_and_watches()[1] == 0, "nothing is watched")
        felix.expect_words("Cannot read", "certificate")
        assert server.requests.total() == asked
        server.show(new)
        felix.expect_watching()


def test_proxy_goes_before_no_proxy(server: FakeServer, tmp_path: Path) -> None:
    config = kubeconfig(server, tmp_path)
    with ConnectProxy() as proxy:
        whole = yaml.safe_load(config.read_text())
        whole["clusters"][0]["cluster"]["proxy-url"] = proxy.url
        config.write_text(yaml.safe_dump(whole))
        with agent_of(config, no_proxy="127.0.0.1", NO_PROXY="*") as felix:
            felix.expect_ready()
        assert proxy.asked_for == {f"127.0.0.1:{server.port}"}

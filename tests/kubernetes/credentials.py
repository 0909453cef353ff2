"""Who may ask the API server, and how they show who they are: certificates, static tokens, service accounts' tokens."""

import base64
import ipaddress
import json
import secrets
import time
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from mesh.certificates import Authority, Certificate

ISSUER = "https://kubernetes.default.svc"
ADMIN = "admin"  # the name that the administrator's certificate says
_TOKEN_ADMIN = "token-admin"
_LEEWAY_SECONDS = 60  # how long after its end the server still takes a token


class Credentials:
    """Makes the files that servers.api_server() names, and what its clients show."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder / "authority", "kubernetes")
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        self.server = self._authority.issue("server", loopback, x509.DNSName("localhost"))
        self.root = self.server.authority
        self.admin_token = secrets.token_hex(16)
        self._tokens = folder / "tokens.csv"
        self._tokens.write_text(f'{self.admin_token},{_TOKEN_ADMIN},{_TOKEN_ADMIN},"system:masters"\n')
        self._account_key = ec.generate_private_key(ec.SECP256R1())
        pem = serialization.Encoding.PEM
        (folder / "accounts.key").write_bytes(
            self._account_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        (folder / "accounts.pub").write_bytes(
            self._account_key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def client_certificate(self, user: str) -> Certificate:
        """A certificate that says this name of a user. What the user may do is for RBAC to say."""
        return self._authority.issue(user, x509.DNSName(user))

    def add_token(self, user: str) -> str:
        """A static token of a user; the API server learns it when it starts next."""
        token = secrets.token_hex(16)
        with open(self._tokens, "a", encoding="ascii") as file:
            file.write(f"{token},{user},{user}\n")
        return token

    def sign_token(self, namespace: str, account: str, uid: str, lifetime: float) -> str:
        """A token of a service account as the API server makes them, but taken for any time: none, if it is below 0."""
        now = time.time()
        header = {"alg": "ES256", "typ": "JWT"}
        claims = {
            "iss": ISSUER,
            "aud": [ISSUER],
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": int(now) - 3600,
            "nbf": int(now) - 3600,
            "exp": int(now + lifetime) - _LEEWAY_SECONDS,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}},
        }
        signed = f"{_base64url(json.dumps(header).encode())}.{_base64url(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._account_key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def write_kubeconfig(path: Path, server: str, root: Path, user: dict[str, str], embed: bool = False) -> Path:
    """Write a kubeconfig for one user, given as in its `user` section; `embed` puts files' content in their place."""
    cluster: dict[str, Any] = {"server": server, "certificate-authority": str(root)}
    if embed:
        cluster, user = _embedded(cluster), _embedded(user)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _embedded(section: dict[str, Any]) -> dict[str, Any]:
    files = ("certificate-authority", "client-certificate", "client-key")
    kept = {key: value for key, value in section.items() if key not in files}
    data = {
        f"{key}-data": base64.b64encode(Path(value).read_bytes()).decode()
        for key, value in section.items()
        if key in files
    }
    return kept | data


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

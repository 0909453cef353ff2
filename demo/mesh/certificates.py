"""The mesh's certificate authority: who a workload is, as Istio says it.

An identity is the one URI in the certificate's subject alternative name,
`spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`; there is no host name to check.
"""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TRUST_DOMAIN = "cluster.local"
_LIFETIME = datetime.timedelta(days=1)
_CLOCK_SKEW = datetime.timedelta(hours=1)


def spiffe_id(namespace: str, account: str, trust_domain: str = TRUST_DOMAIN) -> str:
    """The name of a service account in a certificate."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"


@dataclass(frozen=True)
class Certificate:
    """A certificate, its key and the authority to check others by, as PEM files."""

    certificate: Path
    key: Path
    authority: Path


class Authority:
    """A self-signed root that issues workload certificates into files."""

    def __init__(self, directory: Path, name: str = "mesh root") -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
        root = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.root = directory / "root.pem"
        self.root.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def issue(self, file_name: str, *names: x509.GeneralName, owner: int = 0) -> Certificate:
        """Issue a certificate for these names; only the user `owner` may read its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file_name)])
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        certificate = (
            self._builder(subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        files = Certificate(self._directory / f"{file_name}.pem", self._directory / f"{file_name}.key", self.root)
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_secret(
            files.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            owner,
        )
        return files

    def issue_workload(self, namespace: str, account: str, owner: int = 0) -> Certificate:
        """Issue what a pod of this service account holds."""
        name = x509.UniformResourceIdentifier(spiffe_id(namespace, account))
        return self.issue(f"{namespace}.{account}", name, owner=owner)

    def _builder(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(now + _LIFETIME)
        )


def _write_secret(path: Path, content: bytes, owner: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
    os.chown(path, owner, owner)

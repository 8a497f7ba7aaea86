"""Kafka that asks who comes: every client of ours through TLS, by a name with its password or by a certificate, and what is said where that is wrong."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.kafka.node import Node
from infra.up import Ports, System, UpError
from streams.broker import MECHANISMS, PROTOCOLS, Wrong, security

JARS = Path(__file__).parent.parent / "var" / "jars"
STORY = Path(__file__).parent / "scenarios" / "S02_gas_47_min_before_approval.toml"
SAID = {"PERMITWATCH_KAFKA_USER": "watch", "PERMITWATCH_KAFKA_PASSWORD": "secret"}


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """Signs certificates. `folder` holds ca.pem and, of each name, its certificate and key in one file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key, self.name = folder, ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
        folder.mkdir()
        made = self._made(self.name, self.key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(self.key, hashes.SHA256())
        (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _made(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        return made.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(9))

    def sign(self, name: str, host: str = "127.0.0.1") -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        made = self._made(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key).add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        file = self.folder / f"{name}.pem"
        file.write_bytes(_pem(key) + made.public_bytes(serialization.Encoding.PEM))
        return file


class Guarded(Node):
    """A broker that asks: a name and password at its port, a certificate at the next but one, both through TLS."""

    formatted = ("--add-scram", "SCRAM-SHA-512=[name=watch,password=secret]", "--add-scram", "SCRAM-SHA-256=[name=watch,password=secret]")

    def __init__(self, home: Path, jars: Path, port: int, folder: Path, keys: Path) -> None:
        super().__init__(home, jars, port)
        self.folder, self.keys = folder, keys

    def properties(self) -> str:
        listens = f"SASL_SSL://127.0.0.1:{self.port},SSL://127.0.0.1:{self.port + 2}"
        open_ = super().properties().replace(f"PLAINTEXT://127.0.0.1:{self.port}", listens).replace("inter.broker.listener.name=PLAINTEXT", "inter.broker.listener.name=SSL")
        return open_ + f"""listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
sasl.enabled.mechanisms={",".join(MECHANISMS)}
ssl.keystore.type=PEM
ssl.keystore.location={self.keys}
ssl.truststore.type=PEM
ssl.truststore.location={self.folder / "ca.pem"}
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_watch="secret";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[tuple[Guarded, Path]]:
    home = tmp_path_factory.mktemp("guarded")
    authority = Authority(home / "ca")
    authority.sign("client")
    jars = home / "jars"
    if JARS.exists():
        shutil.copytree(JARS, jars)
    node = Guarded(home / "kafka", jars, Ports(6000).kafka, authority.folder, authority.sign("broker"))
    node.start()
    try:
        yield node, authority.folder
    finally:
        node.stop()


WAYS = {mechanism: {"PERMITWATCH_KAFKA_SECURITY": "SASL_SSL", "PERMITWATCH_KAFKA_MECHANISM": mechanism, **SAID} for mechanism in MECHANISMS} | {"certificate": {"PERMITWATCH_KAFKA_SECURITY": "SSL"}}


def _environment(guarded: tuple[Guarded, Path], way: str, data: Path) -> dict[str, str]:
    node, folder = guarded
    port = node.port + (2 if way == "certificate" else 0)
    own = {"PERMITWATCH_KAFKA_CERTIFICATE": str(folder / "client.pem")} if way == "certificate" else {}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PERMITWATCH_")}
    ports = Ports(6000)
    return plain | WAYS[way] | own | {
        "PERMITWATCH_KAFKA_CA": str(folder / "ca.pem"), "PERMITWATCH_KAFKA": f"127.0.0.1:{port}", "PERMITWATCH_DATA": str(data), "PERMITWATCH_PREFIX": f"{way.lower()}.",
        "PERMITWATCH_DECIDE": f"127.0.0.1:{ports.decide}", "PERMITWATCH_REFUSED": f"127.0.0.1:{ports.refused}",
    }  # fmt: skip


def _said(environment: dict[str, str], *command: str, patience: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "infra", *command], env=environment, capture_output=True, text=True, timeout=patience, cwd=Path(__file__).parent.parent)


@pytest.mark.every
@pytest.mark.broker
@pytest.mark.timeout(240)
@pytest.mark.parametrize("way", WAYS)
def test_a_story_goes_through_a_kafka_that_asks_who_comes(guarded, tmp_path, way):
    """Topics, both ends of every step, snapshots and the player: a story is told as it is told in memory."""
    environment = _environment(guarded, way, tmp_path)
    made = _said(environment, "topics", "--prefix", environment["PERMITWATCH_PREFIX"])
    assert (made.returncode, "created: " in made.stdout) == (0, True), made.stderr
    steps = [subprocess.Popen([sys.executable, "-m", "infra", "streams", step], env=environment, cwd=tmp_path, start_new_session=True) for step in ("normalise", "correlate")]
    try:
        told = _said(environment, "play", "--through-kafka", "--prefix", environment["PERMITWATCH_PREFIX"], str(STORY))
        assert (told.returncode, told.stdout[:1]) == (0, "✓"), told.stdout + told.stderr
    finally:
        for step in steps:
            step.terminate()
        for step in steps:
            step.wait(20)


@pytest.mark.every
@pytest.mark.broker
@pytest.mark.parametrize(("change", "word"), [
    ({"PERMITWATCH_KAFKA_PASSWORD": "other"}, "PERMITWATCH_KAFKA_USER"), ({"PERMITWATCH_KAFKA_CA": ""}, "PERMITWATCH_KAFKA_CA"), ({"PERMITWATCH_KAFKA_SECURITY": ""}, "PERMITWATCH_KAFKA_SECURITY"),
])  # fmt: skip
def test_who_is_turned_away_is_told_what_to_set(guarded, tmp_path, change, word):
    environment = _environment(guarded, "SCRAM-SHA-512", tmp_path) | change
    if not environment["PERMITWATCH_KAFKA_SECURITY"]:
        environment = {name: value for name, value in environment.items() if not name.startswith("PERMITWATCH_KAFKA_")}
    turned_away = _said(environment, "topics")
    assert turned_away.returncode == 1 and word in turned_away.stderr, turned_away
    assert "Traceback" not in turned_away.stderr


def test_the_environment_says_how_kafka_is_reached(tmp_path):
    folder = Authority(tmp_path / "ca").folder
    assert security({}).client() == {"security_protocol": "PLAINTEXT"}
    known = security({"PERMITWATCH_KAFKA_SECURITY": "sasl_plaintext", **SAID})
    assert known.client() == {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "watch", "sasl_plain_password": "secret"}
    encrypted = security({"PERMITWATCH_KAFKA_SECURITY": "SSL", "PERMITWATCH_KAFKA_CA": str(folder / "ca.pem")})
    context = encrypted.client()["ssl_context"]
    assert (context.check_hostname, context.verify_mode.name, "sasl_mechanism" in encrypted.client()) == (True, "CERT_REQUIRED", False)


@pytest.mark.parametrize(("said", "word"), [
    ({"SECURITY": "TLS"}, f"Write one of {', '.join(PROTOCOLS)}"), ({"SECURITY": "SASL_SSL"}, "KAFKA_USER"), ({"SECURITY": "SASL_SSL", "USER": "watch"}, "KAFKA_PASSWORD"),
    ({"SECURITY": "SASL_SSL", "MECHANISM": "GSSAPI", "USER": "w", "PASSWORD": "s"}, "SCRAM-SHA-512"), ({"PASSWORD": "s"}, "would be open"), ({"CA": "ca.pem"}, "would be open"),
    ({"SECURITY": "SSL", "CA": "no-such.pem"}, "name files in PEM"), ({"SECURITY": "SSL", "CA": __file__}, "name files in PEM"), ({"SECURITY": "SSL", "CERTIFICATE": "no-such.pem"}, "name files in PEM"),
])  # fmt: skip
def test_what_cannot_be_is_said_with_what_to_write(said, word):
    with pytest.raises(Wrong, match=word.replace(".", r"\.")):
        security({f"PERMITWATCH_KAFKA_{name}": value for name, value in said.items()})


def test_every_command_says_it_in_one_line():
    told = _said(os.environ | {"PERMITWATCH_KAFKA_SECURITY": "TLS"}, "topics")
    assert (told.returncode, told.stdout, len(told.stderr.splitlines())) == (2, "", 1)
    assert told.stderr.startswith("permitwatch: PERMITWATCH_KAFKA_SECURITY is TLS")


def test_a_box_of_its_own_is_not_told_to_ask(tmp_path, monkeypatch):
    for name, value in {"PERMITWATCH_KAFKA_SECURITY": "SASL_PLAINTEXT", **SAID}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UpError, match="a Kafka of its own"):
        System(tmp_path, Ports(6000)).prepare()

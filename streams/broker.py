"""How every part reaches Kafka: TLS, and a name with its password, where the broker asks for them.

    Wrong           what the environment says of it cannot be, or it does not let us in: says which variable, and what to write
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
SETTING: Final = "PERMITWATCH_KAFKA_"


class Wrong(Exception):
    """The broker cannot be used as the environment says."""


class Security(Struct, frozen=True):
    """What a client shows to the broker, and by what it knows it. `ca`: the authority that signed the broker's certificate (default: those of this machine); `certificate`, `key`: the client's own, in PEM."""

    protocol: str = "PLAINTEXT"
    mechanism: str = MECHANISMS[0]
    user: str = ""
    password: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""

    @property
    def named(self) -> bool:
        """Does the client say who it is, with a password?"""
        return self.protocol.startswith("SASL")

    @property
    def context(self) -> ssl.SSLContext | None:
        """TLS, with the broker's name checked. Raises OSError."""
        if not self.protocol.endswith("SSL"):
            return None
        made = ssl.create_default_context(cafile=self.ca or None)
        if self.certificate:
            made.load_cert_chain(self.certificate, self.key or None)
        return made

    def client(self) -> dict[str, Any]:
        """The settings of a client of kafka-python or aiokafka."""
        named = {"sasl_mechanism": self.mechanism, "sasl_plain_username": self.user, "sasl_plain_password": self.password} if self.named else {}
        return {"security_protocol": self.protocol, **({"ssl_context": context} if (context := self.context) else {}), **named}


def security(env: Mapping[str, str] = os.environ) -> Security:
    """What the environment says. Raises Wrong."""
    said = {name: env.get(f"{SETTING}{name.upper()}", "") for name in ("security", "mechanism", "user", "password", "ca", "certificate", "key")}
    protocol, mechanism = said.pop("security").upper() or PROTOCOLS[0], said.pop("mechanism").upper() or MECHANISMS[0]
    for name, value, known in (("SECURITY", protocol, PROTOCOLS), ("MECHANISM", mechanism, MECHANISMS)):
        if value not in known:
            raise Wrong(f"{SETTING}{name} is {value}. Write one of {', '.join(known)}")
    if protocol == PROTOCOLS[0] and (given := [name for name, value in said.items() if value]):
        raise Wrong(f"{SETTING}{given[0].upper()} is set, and the connection would be open. Set {SETTING}SECURITY to one of {', '.join(PROTOCOLS[1:])}")
    if protocol.startswith("SASL") and not (said["user"] and said["password"]):
        raise Wrong(f"{protocol} needs a name and a password. Set {SETTING}USER and {SETTING}PASSWORD")
    found = Security(protocol, mechanism, **said)
    try:
        _ = found.context
    except OSError as wrong:  # ssl.SSLError is one
        raise Wrong(f"{SETTING}CA, {SETTING}CERTIFICATE and {SETTING}KEY name files in PEM: {wrong.strerror or wrong}") from None
    return found


def why_not(address: str, known: Security) -> str:
    """Why a client cannot use the Kafka at `address` (host:port, the first of several), and what to set."""
    host, _, port = address.split(",")[0].rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), 2) as open_:
            if context := known.context:
                context.wrap_socket(open_, server_hostname=host.strip("[]")).close()
    except ssl.SSLCertVerificationError as wrong:
        return f"the Kafka at {address} does not prove who it is ({wrong.verify_message}). Name the authority that signed its certificate ({SETTING}CA), and the broker as its certificate does"
    except ssl.SSLError as wrong:
        return f"what answers at {address} does not speak TLS as this client does ({wrong.reason or wrong}). Look at the port, and at {SETTING}SECURITY"
    except (OSError, ValueError):
        return f"no Kafka answers at {address}. Start it, or give another address with PERMITWATCH_KAFKA"
    if known.named:
        return f"the Kafka at {address} turns {known.user} away. Look at {SETTING}USER, {SETTING}PASSWORD and {SETTING}MECHANISM ({known.mechanism})"
    if known.protocol == PROTOCOLS[0]:
        return f"what answers at {address} is no Kafka that is open to everybody. If it asks for TLS or a name, set {SETTING}SECURITY to one of {', '.join(PROTOCOLS[1:])}"
    return f"the Kafka at {address} does not let this client in. If it asks for a certificate, set {SETTING}CERTIFICATE and {SETTING}KEY"

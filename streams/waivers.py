"""Signatures of waivers: Ed25519 over the pack's name, what is loosened to which value, until when, by whom and why."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

if TYPE_CHECKING:
    from streams.packs import Pack, Waiver

PUBLIC: Final = "waivers.pub"
"""The file beside a pack that holds the signer's public key (PEM); where it lies, no waiver stands without its signature."""
TABLES: Final = frozenset({"limits", "lel", "toxic", "molar", "warn_days", "trades", "rules"})


def message(pack: Pack, waiver: Waiver) -> bytes:
    """What is signed; the value belongs to it, so that leave for 12 min is no leave for 30."""
    table, _, rest = waiver.key.partition(".")
    value = msgspec.to_builtins(getattr(pack, table, {}).get(rest.partition(".")[0])) if table in TABLES else None
    return json.dumps([pack.name, waiver.key, value, waiver.until, waiver.by, waiver.reason], ensure_ascii=False, sort_keys=True).encode()


def sign(pack: Pack, pem: bytes) -> dict[str, str]:
    """The signature of each waiver of a pack as written, base64. Raises ValueError if the key is no Ed25519 private key (PEM)."""
    key = load_pem_private_key(pem, None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")
    return {w.key: base64.b64encode(key.sign(message(pack, w))).decode() for w in pack.waivers}


def unsigned(pack: Pack, pem: bytes) -> list[Waiver]:
    """The waivers whose signature does not fit. Raises ValueError if the key is no Ed25519 public key (PEM)."""
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")
    return [w for w in pack.waivers if not _fits(key, pack, w)]


def _fits(key: Ed25519PublicKey, pack: Pack, waiver: Waiver) -> bool:
    try:
        key.verify(base64.b64decode(waiver.signature, validate=True), message(pack, waiver))
    except (InvalidSignature, binascii.Error):
        return False
    return True

"""Columns sealed under the master key: AES-256-GCM, with the key's id in front, so that a key can be changed.

A sealed text is `v1.<key id>.<base64url of nonce and ciphertext>`; the row's id is authenticated with it,
so that a note moved to another row does not open.
"""

import base64
import hashlib
import os
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class CannotUnseal(Exception):
    """A sealed text does not open under the key at hand."""


@dataclass(frozen=True)
class Seal:
    """One master key at work."""

    master_key: str

    @cached_property
    def _cipher(self) -> AESGCM:
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"pazpaz column v1")
        return AESGCM(derive.derive(self.master_key.encode()))

    @cached_property
    def key_id(self) -> str:
        """Eight hexadecimal digits that tell keys apart and give nothing away."""
        return hashlib.sha256(b"pazpaz key id:" + self.master_key.encode()).hexdigest()[:8]

    @property
    def prefix(self) -> str:
        """What every text sealed under this key starts with."""
        return f"v1.{self.key_id}."

    def seal(self, text: str, row_id: str) -> str:
        """Return the text sealed for the row."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), row_id.encode())
        return self.prefix + base64.urlsafe_b64encode(nonce + sealed).decode()

    def unseal(self, sealed: str, row_id: str) -> str:
        """Return the text sealed for the row. Raise CannotUnseal for another key, row or a changed text."""
        version, _, rest = sealed.partition(".")
        key_id, _, payload = rest.partition(".")
        if version != "v1" or key_id != self.key_id:
            raise CannotUnseal(f"sealed under key {key_id or '?'}, but the key at hand is {self.key_id}")
        try:
            raw = base64.urlsafe_b64decode(payload)
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], row_id.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise CannotUnseal(f"the sealed text of row {row_id} is damaged") from error

"""Secret keys: for the chain and for digests, derived from one secret; and for inputs."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from features.base.errors import InputError, Problem, UnavailableError
from features.base.files import write_bytes_new
from features.base.home import Home, read_environment

SECRET_VARIABLE = "KETAMINE_RESPONSE_AUDIT_KEY"
INPUTS_VARIABLE = "KETAMINE_RESPONSE_INPUTS_KEYS"
# 128 bits in hexadecimal; a shorter secret could be guessed offline from one row.
MIN_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys derived from the service's secret, one per use, so that none reveals another."""

    chain: bytes = field(repr=False)  # Of the audit chain
    inputs: bytes = field(repr=False)  # Of digests of request bodies

    def digest_inputs(self, body: bytes) -> str:
        """Compute the keyed digest of a body; without the key, guesses cannot be tested."""
        return hmac.digest(self.inputs, body, "sha256").hex()


def read_secrets(home: Home, environment: Mapping[str, str] | None = None) -> Secrets:
    """Read the service's secret from the environment, or from its file, created at first use.

    Raises InputError if the secret in the environment is too short, UnavailableError if the file
    cannot be made or read, or is too short.
    """
    variables = read_environment() if environment is None else environment
    secret = variables.get(SECRET_VARIABLE)
    if secret is None:
        return derive_secrets(_read_secret_file(home))
    if len(secret) < MIN_LENGTH:
        message = f"must have {MIN_LENGTH} characters or more"
        raise InputError([Problem(SECRET_VARIABLE, "length", message)], source="environment")
    return derive_secrets(secret.encode())


# The first process creates it.
def _read_secret_file(home: Home) -> bytes:
    path = home.service_key
    try:
        if not path.exists():
            write_bytes_new(path, secrets.token_hex(32).encode(), mode=0o600)
        secret = path.read_bytes().strip()
    except OSError:
        raise UnavailableError(f"{path.name} cannot be made or read") from None
    if len(secret) < MIN_LENGTH:
        raise UnavailableError(f"{path.name} must have {MIN_LENGTH} characters or more")
    return secret


def derive_secrets(secret: bytes) -> Secrets:
    """Derive one key per use."""
    chain, inputs = (
        hmac.digest(secret, b"ketamine-response " + label, "sha256")
        for label in (b"audit chain", b"inputs digest")
    )
    return Secrets(chain, inputs)


class InputsSeal:
    """Encrypts request bodies that are kept: of its Fernet keys the first seals, all unseal."""

    def __init__(self, keys: list[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            message = "must be Fernet keys, 32 url-safe base64-encoded bytes each, newest first"
            raise InputError(
                [Problem(INPUTS_VARIABLE, "keys", message)], source="environment"
            ) from None

    def seal(self, body: bytes) -> bytes:
        """Encrypt a body."""
        return self._fernet.encrypt(body)

    def unseal(self, sealed: bytes) -> bytes:
        """Decrypt a body; raise UnavailableError if no key encrypted it, or it was altered."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise UnavailableError(
                f"none of the keys in {INPUTS_VARIABLE} decrypts these inputs"
            ) from None


def read_inputs_seal(environment: Mapping[str, str] | None = None) -> InputsSeal | None:
    """Read the keys of inputs, None if there are none; raise InputError for an invalid one."""
    variables = read_environment() if environment is None else environment
    keys = [key.strip() for key in variables.get(INPUTS_VARIABLE, "").split(",") if key.strip()]
    return InputsSeal(keys) if keys else None

"""TLS on a real service: modern versions only, and nothing for other machines without keys."""

import json
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PERSON = {"patient_id": "a17", "condition": "depression", "phq9": 17}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this machine's and its key, made a moment ago."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now, address = datetime.now(UTC), x509.IPAddress(ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return paths


@pytest.fixture(scope="module")
def home(store_champion, tmp_path_factory):
    found = tmp_path_factory.mktemp("home")
    store_champion(found)
    return found


@pytest.fixture(scope="module")
def token(home, make_commands):
    arguments = ("keys", "create", "--name", "a", "--scope", "predict", "--json")
    return json.loads(make_commands(home).run("serving", *arguments).stdout)["token"]


@pytest.fixture(scope="module")
def service(start_service, home, certificate, token):
    """A service for all machines, with TLS and a key."""
    options = ("--host", "0.0.0.0", "--tls-certificate", certificate[0], "--tls-key")
    started = start_service(*options, certificate[1], home=home, ready=None)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    for _ in range(300):
        assert started.process.poll() is None, started.read_log()
        with suppress(OSError):
            started.ask("/readyz", tls=trusting)
            break
        started.process.poll()
    return started, trusting


def wait_ready(service):
    started, trusting = service
    for _ in range(600):
        with suppress(OSError):
            if started.ask("/readyz", tls=trusting)[0] == 200:
                return

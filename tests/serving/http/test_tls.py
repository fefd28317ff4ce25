"""TLS on a real service: modern versions only, and keys required from other machines."""

import json
import ssl
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PERSON = {"patient_id": "a17", "condition": "depression", "phq9": 17}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A new certificate of this machine, and its key."""
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
    folder = tmp_path_factory.mktemp("home")
    store_champion(folder)
    return folder


@pytest.fixture(scope="module")
def token(home, make_commands):
    arguments = ("keys", "create", "--name", "a", "--scope", "predict", "--json")
    return json.loads(make_commands(home).run("serving", *arguments).stdout)["token"]


@pytest.fixture(scope="module")
def trusting(certificate):
    """Settings of a client that trusts only this certificate."""
    return ssl.create_default_context(cafile=str(certificate[0]))


@pytest.fixture(scope="module")
def service(start_service, home, certificate, token, trusting):
    """A service open to all machines, with TLS and a key."""
    options = ("--host", "0.0.0.0", "--tls-certificate", certificate[0])
    started = start_service(*options, "--tls-key", certificate[1], home=home, ready=None)
    for _ in range(300):
        assert started.process.poll() is None, started.read_log()
        with suppress(OSError):
            started.ask("/readyz", tls=trusting)
            return started
        time.sleep(0.2)
    raise AssertionError(started.read_log())


def test_without_keys_other_machines_cannot_connect(make_commands, store_champion, tmp_path):
    store_champion(tmp_path)
    refused = make_commands(tmp_path).run("serving", "serve", "--host", "0.0.0.0", code=2)
    assert "without keys only this machine may connect" in refused.stderr


def test_with_keys_it_does_and_asks_for_one(service, trusting, token):
    assert service.ask("/predict", PERSON, tls=trusting)[0] == 401
    status, headers, _ = service.ask(
        "/predict", PERSON, tls=trusting, authorization=f"Bearer {token}"
    )
    assert status == 200
    assert headers["x-content-type-options"] == "nosniff"


def test_key_cookie_is_secure_over_tls(service, trusting, token):
    form = urlencode({"condition": "depression", "phq9": "17", "access_key": token}).encode()
    kind = "application/x-www-form-urlencoded"
    status, headers, _ = service.ask("/", form, tls=trusting, content_type=kind)
    assert status == 200
    attributes = headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Secure"} <= set(attributes)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_modern_tls_is_spoken(service, certificate, version):
    chosen = ssl.create_default_context(cafile=str(certificate[0]))
    chosen.minimum_version = chosen.maximum_version = version
    assert service.ask("/livez", tls=chosen)[0] == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused_by_the_service(service):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    # The client itself accepts every version.
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError), match=r"(?i)alert|reset|eof"):
        service.ask("/livez", tls=old)


def test_plain_http_on_tls_port_gets_no_answer(service, trusting):
    sent = b"POST /predict HTTP/1.1\r\nHost: CANARYBIRD\r\nContent-Length: 5\r\n\r\nhello"
    with service.connect(sent) as plain:
        try:
            answer = plain.recv(1000)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"HTTP")
    assert service.ask("/livez", tls=trusting)[0] == 200
    assert "CANARYBIRD" not in service.read_log()
    assert "Traceback" not in service.read_log()


def test_half_of_what_tls_needs_is_refused(make_commands, home, certificate):
    for name, path in zip(("--tls-certificate", "--tls-key"), certificate, strict=True):
        refused = make_commands(home).run("serving", "serve", name, path, code=2)
        assert "TLS needs a certificate and its key" in refused.stderr

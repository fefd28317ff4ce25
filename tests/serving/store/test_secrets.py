import stat
import threading

import pytest
from cryptography.fernet import Fernet

from features.base.errors import InputError, UnavailableError
from features.base.home import find_home
from serving.store.secrets import InputsSeal, read_inputs_seal, read_secrets

SECRET = {"KETAMINE_RESPONSE_AUDIT_KEY": "s" * 32}


@pytest.fixture
def home(tmp_path):
    return find_home({"KETAMINE_RESPONSE_HOME": str(tmp_path / "home")})


def test_secret_in_environment_precedes_the_file(home):
    assert read_secrets(home, SECRET) == read_secrets(home, SECRET)
    assert read_secrets(home, SECRET) != read_secrets(home, {})
    assert "ssss" not in repr(read_secrets(home, SECRET))


def test_secret_in_environment_creates_no_file(home):
    read_secrets(home, SECRET)
    assert not home.service_key.exists()


def test_secret_file_is_created_once_for_its_owner(home):
    first = read_secrets(home, {})
    assert stat.S_IMODE(home.service_key.stat().st_mode) == 0o600
    assert len(home.service_key.read_bytes()) == 64
    assert read_secrets(home, {}) == first
    assert [path.name for path in home.folder.iterdir()] == ["service.key"]


def test_secret_file_content_works_as_the_variable(home):
    text = home.service_key
    first = read_secrets(home, {})
    assert read_secrets(home, {"KETAMINE_RESPONSE_AUDIT_KEY": text.read_text()}) == first


def test_first_process_creates_the_secret_file(home):
    together = threading.Barrier(8)
    secrets = []

    def read():
        together.wait()
        secrets.append(read_secrets(home, {}))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 8
    assert len(set(secrets)) == 1


def test_a_short_secret_is_refused_without_being_shown(home):
    with pytest.raises(InputError, match="32 characters") as caught:
        read_secrets(home, {"KETAMINE_RESPONSE_AUDIT_KEY": "hunter2"})
    assert "hunter2" not in str(caught.value)
    home.folder.mkdir()
    home.service_key.write_text("short\n")
    with pytest.raises(UnavailableError, match="32 characters"):
        read_secrets(home, {})


def test_a_file_that_cannot_be_made_is_reported():
    with pytest.raises(UnavailableError, match=r"service\.key"):
        read_secrets(find_home({"KETAMINE_RESPONSE_HOME": "/proc/nowhere"}), {})


def test_each_use_has_a_key_of_its_own(home):
    secrets = read_secrets(home, SECRET)
    assert secrets.chain != secrets.inputs
    digest = secrets.digest_inputs(b'{"phq9": 17}')
    assert len(digest) == 64
    assert digest == secrets.digest_inputs(b'{"phq9": 17}')
    other = read_secrets(home, {"KETAMINE_RESPONSE_AUDIT_KEY": "t" * 32})
    assert digest != other.digest_inputs(b'{"phq9": 17}')


def test_the_newest_key_seals_and_every_key_unseals():
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    sealed = InputsSeal([old]).seal(b"body")
    both = read_inputs_seal({"KETAMINE_RESPONSE_INPUTS_KEYS": f"{new}, {old}"})
    assert both.unseal(sealed) == b"body"
    assert InputsSeal([new]).unseal(both.seal(b"later")) == b"later"
    with pytest.raises(UnavailableError, match="none of the keys"):
        InputsSeal([new]).unseal(sealed)


def test_inputs_need_a_valid_key():
    assert read_inputs_seal({}) is None
    with pytest.raises(InputError, match="Fernet") as caught:
        read_inputs_seal({"KETAMINE_RESPONSE_INPUTS_KEYS": "hunter2"})
    assert "hunter2" not in str(caught.value)

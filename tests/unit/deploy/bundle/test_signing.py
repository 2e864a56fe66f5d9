"""Signed bundles: keys as OpenSSL writes them, and every bundle that is not its owner's is refused."""
import shutil
import subprocess
import tarfile

import pytest

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: E402

from mxft.deploy.bundle.checking import check_bundle  # noqa: E402
from mxft.deploy.bundle.opening import opened_bundle  # noqa: E402
from mxft.deploy.bundle.signing import load_private_key, load_public_key  # noqa: E402
from mxft.deploy.bundle.sums import write_sums  # noqa: E402
from mxft.deploy.bundle.writing import write_bundle  # noqa: E402
from mxft.errors import InputError  # noqa: E402
from mxft.evaluation.classifier import Classifier  # noqa: E402
from mxft.network.input_spec import InputSpec  # noqa: E402
from tests.support.images import smooth, write_image  # noqa: E402

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def write_keys(folder, name, key=None, encryption=None):
    key = key or ed25519.Ed25519PrivateKey.generate()
    (folder / f"{name}.key").write_bytes(key.private_bytes(PEM, PKCS8, encryption or serialization.NoEncryption()))
    (folder / f"{name}.pub").write_bytes(key.public_key().public_bytes(PEM, SPKI))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_checkpoint):
    """A folder with ``signed.tar``, its folder ``signed``, keys ``own`` and ``other``; not to be changed."""
    folder = tmp_path_factory.mktemp("signed")
    write_image(folder / "cat.png", smooth())
    write_keys(folder, "own")
    write_keys(folder, "other")
    classifier = Classifier(make_checkpoint(7), InputSpec((3, 16, 16)), {"resize": 20}, list("abcdefg"), "tiny")
    for name in ("signed", "signed.tar"):
        write_bundle(classifier, str(folder / name), str(folder / "cat.png"), onnx=False,
                     key=load_private_key(str(folder / "own.key")))
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder / "signed", tmp_path / "copy")


@pytest.fixture
def own(folder):
    return load_public_key(str(folder / "own.pub"))


def test_its_owners_key_takes_it_and_another_key_does_not(folder, own):
    with opened_bundle(str(folder / "signed.tar")) as unpacked:
        assert check_bundle(unpacked, key=own).files == 8 and check_bundle(unpacked).files == 8
        with pytest.raises(InputError, match="expected SHA256SUMS signed by the key of trust, received another "
                                             "signature in SHA256SUMS.sig: it is another's bundle, or was changed"):
            check_bundle(unpacked, key=load_public_key(str(folder / "other.pub")))
    with tarfile.open(folder / "signed.tar") as archive:
        assert "tiny/SHA256SUMS.sig" in archive.getnames()


def test_a_bundle_that_is_not_signed_is_refused_where_trust_is_asked_for(copy, own):
    (copy / "SHA256SUMS.sig").unlink()
    with pytest.raises(InputError, match="expected the signature SHA256SUMS.sig, received a bundle that is not signed"):
        check_bundle(str(copy), key=own)
    assert check_bundle(str(copy)).files == 8


@pytest.mark.parametrize("signature", [b"", b"x" * 64, b"x" * 10_000])
def test_a_signature_that_is_none_is_refused(signature, copy, own):
    (copy / "SHA256SUMS.sig").write_bytes(signature)
    with pytest.raises(InputError, match="received another signature"):
        check_bundle(str(copy), key=own)


def test_a_change_with_new_sums_is_refused(copy, own):
    (copy / "README.txt").write_text("another")
    with pytest.raises(InputError, match="expected sha256"):
        check_bundle(str(copy), key=own)
    signature = (copy / "SHA256SUMS.sig").read_bytes()
    for name in ("SHA256SUMS", "SHA256SUMS.sig"):
        (copy / name).unlink()
    write_sums(str(copy))
    (copy / "SHA256SUMS.sig").write_bytes(signature)
    with pytest.raises(InputError, match="received another signature"):
        check_bundle(str(copy), key=own)


def test_keys_that_are_none_are_refused(tmp_path):
    write_keys(tmp_path, "curve", ec.generate_private_key(ec.SECP256R1()))
    write_keys(tmp_path, "secret", encryption=serialization.BestAvailableEncryption(b"word"))
    write_keys(tmp_path, "own")
    (tmp_path / "text.key").write_text("no key")
    for name in ("curve.key", "secret.key", "text.key", "own.pub"):
        with pytest.raises(InputError, match=f"sign: expected an Ed25519 private key in PEM without a passphrase, "
                                             f"received sign='.*{name}', which holds none; openssl genpkey"):
            load_private_key(str(tmp_path / name))
    for name in ("curve.pub", "own.key", "text.key"):
        with pytest.raises(InputError, match="trust: expected an Ed25519 public key in PEM, received trust="):
            load_public_key(str(tmp_path / name))
    with pytest.raises(InputError, match=r"sign: expected the file of .*, received sign='.*gone' \(no such file"):
        load_private_key(str(tmp_path / "gone"))


@pytest.mark.skipif(not shutil.which("openssl"), reason="expected openssl")
def test_openssl_makes_the_keys_and_verifies_the_signature(folder, tmp_path):
    def openssl(*words):
        return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, cwd=tmp_path)

    if openssl("genpkey", "-algorithm", "ed25519", "-out", "bundle.key").returncode:
        pytest.skip("this openssl knows no ed25519")
    openssl("pkey", "-in", "bundle.key", "-pubout", "-out", "bundle.pub")
    assert load_private_key(str(tmp_path / "bundle.key")).public_key().public_bytes(PEM, SPKI) == load_public_key(
        str(tmp_path / "bundle.pub")).public_bytes(PEM, SPKI)
    done = openssl("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", folder / "own.pub", "-in",
                   folder / "signed" / "SHA256SUMS", "-sigfile", folder / "signed" / "SHA256SUMS.sig")
    assert "Verified Successfully" in done.stdout or "unknown option" in done.stderr.lower()

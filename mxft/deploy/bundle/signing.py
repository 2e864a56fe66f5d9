"""Who made a bundle: an Ed25519 signature over its SHA256SUMS, in a file beside it, by OpenSSL's keys in PEM.

``openssl genpkey -algorithm ed25519 -out bundle.key`` makes a key, ``openssl pkey -in bundle.key -pubout -out
bundle.pub`` its public half; ``openssl pkeyutl -verify -rawin`` verifies the signature too.
"""
import os

from mxft.deploy.bundle import SIGNED, SUMS
from mxft.errors import InputError
from mxft.files.whole import require_file, whole_file
from mxft.machine.packages import require_package

SIGNATURE_BYTES = 64
MOST_KEY = 1 << 16  # bytes
_MAKES = "openssl genpkey -algorithm ed25519 -out bundle.key makes one"
_PUBLIC = "openssl pkey -in bundle.key -pubout -out bundle.pub writes it"


def load_private_key(path):
    """Return the key that bundles are signed with.

    Parameters
    ----------
    path : str
        A PEM file, without a passphrase.

    Raises
    ------
    InputError
        There is none, it has a passphrase, or it is no Ed25519 key.
    """
    _, ed25519, serialization = _cryptography("signing a bundle")
    return _key(path, "sign", ed25519.Ed25519PrivateKey, "an Ed25519 private key in PEM without a passphrase", _MAKES,
                lambda data: serialization.load_pem_private_key(data, None))


def load_public_key(path):
    """Return the key that bundles are held against.

    Parameters
    ----------
    path : str
        A PEM file.

    Raises
    ------
    InputError
        There is none, or it is no public Ed25519 key.
    """
    _, ed25519, serialization = _cryptography("verifying a bundle's signature")
    return _key(path, "trust", ed25519.Ed25519PublicKey, "an Ed25519 public key in PEM", _PUBLIC,
                serialization.load_pem_public_key)


def sign_sums(folder, key):
    """Write the signature over a bundle's SHA256SUMS beside it.

    Parameters
    ----------
    folder : str
    key
        From `load_private_key`.
    """
    with open(os.path.join(folder, SUMS), "rb") as f:
        signature = key.sign(f.read())
    with whole_file(os.path.join(folder, SIGNED)) as f:
        f.write(signature)


def check_signature(folder, key):
    """Refuse (InputError) a bundle that is not signed, or signed by another key, or changed since.

    Parameters
    ----------
    folder : str
    key
        From `load_public_key`.

    Notes
    -----
    What is signed are the sums: `mxft.deploy.bundle.sums.check_sums` holds the files against them.
    """
    exceptions, _, _ = _cryptography("verifying a bundle's signature")
    path = os.path.join(folder, SIGNED)
    if not os.path.isfile(path):
        raise InputError(f"bundle: expected the signature {SIGNED}, received a bundle that is not signed; who "
                         "writes it signs it with `sign` KEY, and without `trust` any bundle is taken")
    with open(require_file(os.path.join(folder, SUMS), "list of hashes"), "rb") as f:
        sums = f.read()
    with open(path, "rb") as f:
        signature = f.read(SIGNATURE_BYTES + 1)
    try:
        key.verify(signature, sums)
    except exceptions.InvalidSignature:
        raise InputError(f"bundle: expected {SUMS} signed by the key of `trust`, received another signature in "
                         f"{SIGNED}: it is another's bundle, or was changed; do not use it") from None


def _cryptography(what):
    """Return the modules of the package cryptography, or refuse with the command that installs it."""
    return (require_package("cryptography.exceptions", what),
            require_package("cryptography.hazmat.primitives.asymmetric.ed25519", what),
            require_package("cryptography.hazmat.primitives.serialization", what))


def _key(path, setting, kind, expected, cure, load):
    try:
        with open(path, "rb") as f:
            key = load(f.read(MOST_KEY))
    except OSError as error:
        raise InputError(f"`{setting}`: expected the file of {expected}, received {setting}={path!r} "
                         f"({error.strerror.lower()}); {cure}") from None
    except Exception:  # of many kinds: ValueError, TypeError where there is a passphrase, UnsupportedAlgorithm
        key = None
    if not isinstance(key, kind):
        raise InputError(f"`{setting}`: expected {expected}, received {setting}={path!r}, which holds none; {cure}")
    return key

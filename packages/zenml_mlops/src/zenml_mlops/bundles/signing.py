"""Sign a manifest and verify it, with OpenSSH's ``ssh-keygen -Y`` and its list of allowed signers.

Both are what ``git`` signs commits with, so a key in a file, in an agent or on a hardware token works, and who may
sign until when stands in one reviewed text file.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.bundles.errors import BundleRefusedError, TamperedError, UnknownSignerError

NAMESPACE: Final = "mlops-bundle"
"""What a signature is for: one that a key made for another purpose, such as a commit, does not count."""

_SECONDS = 120
"""Time for a person to touch a hardware key."""


class Signer(Frozen):
    """Who signed a bundle.

    Attributes:
        name: The principal in the list of allowed signers.
    """

    name: str
    fingerprint: str


def sign(content: bytes, key: Path) -> tuple[bytes, Signer]:
    """Sign content.

    Args:
        key: File of a private key, or of a public one whose private part an agent or a token holds.

    Returns:
        The signature, and who the key itself says that it belongs to: its fingerprint stands for the name.

    Raises:
        BundleRefusedError: If there is no such key, or it cannot sign without a person.
    """
    if not key.is_file():
        raise BundleRefusedError(f"There is no signing key {key}: name the file of an SSH key with --key.")
    done = _run("sign", "-f", str(key), content=content)
    if done.returncode != 0:
        raise BundleRefusedError(
            f"ssh-keygen cannot sign with {key}: {_last(done.stderr)} A key with a passphrase is added to an "
            "agent first, with `ssh-add`."
        )
    fingerprint = _fingerprint(content, done.stdout)
    return done.stdout, Signer(name=fingerprint, fingerprint=fingerprint)


def verify(content: bytes, signature: bytes, allowed: Path) -> Signer:
    """Find out who signed content.

    Args:
        allowed: The list of allowed signers, as ssh-keygen(1) describes it.

    Raises:
        TamperedError: If the signature is not one of this content.
        UnknownSignerError: If the list does not allow the key now, for this purpose.
    """
    fingerprint = _fingerprint(content, signature)
    if not allowed.is_file():
        raise UnknownSignerError(
            f"The bundle is signed with the key {fingerprint}, and there is no list of allowed signers {allowed}: "
            "name one in `bundles.allowed_signers` in configs/."
        )
    with _signature_file(signature) as place:
        found = _run("find-principals", "-s", place, "-f", str(allowed), content=content)
        for name in found.stdout.decode("utf-8", "replace").splitlines():
            done = _run("verify", "-s", place, "-f", str(allowed), "-I", name, content=content)
            if done.returncode == 0:
                return Signer(name=name, fingerprint=fingerprint)
    raise UnknownSignerError(
        f"The bundle is signed with the key {fingerprint}, which {allowed.name} does not allow to sign bundles "
        f'now. If it is the key of somebody whom this server trusts, add the line `NAME namespaces="{NAMESPACE}" '
        "KEY` there."
    )


def _fingerprint(content: bytes, signature: bytes) -> str:
    """Fingerprint of the key of a signature that fits the content, whoever it belongs to."""
    with _signature_file(signature) as place:
        done = _run("check-novalidate", "-s", place, content=content)
    found = re.search(r"SHA256:\S+", done.stdout.decode("utf-8", "replace"))
    if done.returncode != 0 or found is None:
        raise TamperedError(
            "The bundle's signature does not fit its manifest: one of them was changed or damaged on the way. "
            "Fetch the bundle again."
        )
    return found.group()


@contextmanager
def _signature_file(content: bytes) -> Iterator[str]:
    """A file with some content, as long as it is needed; ssh-keygen takes a signature from a file alone."""
    with tempfile.TemporaryDirectory(prefix="mlops-signature-") as folder:
        path = Path(folder) / "signature"
        path.write_bytes(content)
        yield str(path)


def _run(action: str, *arguments: str, content: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", "-Y", action, *arguments]
    # Principals are found whatever the purpose, and then verified for this one.
    command += [] if action == "find-principals" else ["-n", NAMESPACE]
    try:
        return subprocess.run(
            command,
            input=content,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise BundleRefusedError("ssh-keygen is missing: install OpenSSH's client, 8.2 or newer.") from None
    except subprocess.TimeoutExpired:
        raise BundleRefusedError(f"ssh-keygen gave no answer within {_SECONDS} seconds.") from None


def _last(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return f"{lines[-1].rstrip('.')}." if lines else ""

"""`python -m embedded.secrets_check [FILE ...]`: no password, key or token stands in the repository's files.

Without files: every file that git tracks or would add. What only looks like a secret is marked in its line with
`pragma: allowlist secret`, where a reader sees it too.
"""

from __future__ import annotations

import re
import subprocess
import sys

from detect_secrets.pre_commit_hook import main as detect

from embedded.state import REPOSITORY

#: Written by tools and full of hashes, or binary.
_NOT_READ = re.compile(
    r"^(model_store|docs/reproductions)/|\.lock$|package-lock\.json$|\.po$|\.(png|onnx|pt|npz|jpg|dcm)$"
)
#: Hashes stand everywhere here and are no secrets; and these services are none that anybody uses here.
_NOT_LOOKED_FOR = (
    "HexHighEntropyString",
    *("ArtifactoryDetector", "AzureStorageKeyDetector", "CloudantDetector", "DiscordBotTokenDetector"),
    *(
        "IbmCloudIamDetector",
        "IbmCosHmacDetector",
        "IPPublicDetector",
        "MailchimpDetector",
        "SendGridDetector",
    ),
    *(
        "SoftlayerDetector",
        "SquareOAuthDetector",
        "StripeDetector",
        "TelegramBotTokenDetector",
        "TwilioKeyDetector",
    ),
)
#: What examples and tests put in a secret's place.
_PLACEHOLDER = (
    r"user:password@|PASSWORD@|:secret@db\.hospital\.example|password=.wrong|.password.: .(wrong|short)"
    "|only-for-checks|for-the-schema-only|: .set-up.,|password1234|a long enough password|another fine password"
)
_OPTIONS = [
    *(part for name in _NOT_LOOKED_FOR for part in ("--disable-plugin", name)),
    *("--exclude-lines", _PLACEHOLDER),
]


def listed() -> list[str]:
    """What git tracks here, or would add."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in done.stdout.split("\0") if name and (REPOSITORY / name).is_file()]


def main(files: list[str]) -> int:
    """1, with every line named, where something looks like a secret."""
    wanted = [name for name in files or listed() if not _NOT_READ.search(name)]
    return int(detect([*_OPTIONS, *wanted]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

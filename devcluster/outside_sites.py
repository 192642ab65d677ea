"""Two sites of the outside as plain files: a git repository and a Python package index."""

import hashlib
import zipfile
import zlib
from pathlib import Path

from devcluster.file import write

README = b"a sample repository\n"
PERSON = b"Outside <nobody@git.test> 1700000000 +0000"
PACKAGE = "ringfence_sample"
VERSION = "1.0"


def write_git_repository(directory: Path) -> None:
    """Write a bare repository of one commit, as `git update-server-info` leaves it for plain HTTP."""
    blob = _git_object(directory, b"blob", README)
    tree = _git_object(directory, b"tree", b"100644 README\0" + bytes.fromhex(blob))
    said = b"tree %b\nauthor %b\ncommitter %b\n\nThe only commit\n" % (tree.encode(), PERSON, PERSON)
    commit = _git_object(directory, b"commit", said)
    write(directory / "HEAD", "ref: refs/heads/main\n")
    write(directory / "refs/heads/main", f"{commit}\n")
    write(directory / "info/refs", f"{commit}\trefs/heads/main\n")
    write(directory / "objects/info/packs", "\n")


def write_package_index(directory: Path) -> None:
    """Write a simple index (PEP 503) that has one pure wheel."""
    wheel = directory / f"files/{PACKAGE}-{VERSION}-py3-none-any.whl"
    if not wheel.exists():
        _write_wheel(wheel)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    project = PACKAGE.replace("_", "-")
    write(directory / "simple/index.html", _page(f'<a href="{project}/">{project}</a>'))
    link = f'<a href="../../files/{wheel.name}#sha256={digest}">{wheel.name}</a>'
    write(directory / f"simple/{project}/index.html", _page(link))


def _git_object(repository: Path, kind: bytes, content: bytes) -> str:
    """Write a loose object and return its name."""
    whole = b"%b %d\0%b" % (kind, len(content), content)
    name = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    path = repository / "objects" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zlib.compress(whole))
    return name


def _write_wheel(path: Path) -> None:
    info = f"{PACKAGE}-{VERSION}.dist-info"
    files = {
        f"{PACKAGE}.py": 'SAID = "installed from outside"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE.replace('_', '-')}\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: devcluster\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as wheel:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
    partial.replace(path)


def _page(body: str) -> str:
    return f"<!DOCTYPE html><html><body>{body}</body></html>\n"

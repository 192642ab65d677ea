from pathlib import Path

from devcluster.content import content_hash


def test_the_hash_changes_with_names_bytes_modes_and_words(tmp_path: Path) -> None:
    file = tmp_path / "source" / "a"
    file.parent.mkdir()
    file.write_text("one")
    seen = [content_hash([file.parent])]

    file.write_text("two")
    seen.append(content_hash([file.parent]))
    file.chmod(0o755)
    seen.append(content_hash([file.parent]))
    file.rename(file.with_name("b"))
    seen.append(content_hash([file.parent]))
    seen.append(content_hash([file.parent], "flags"))

    assert len(set(seen)) == len(seen)


def test_the_hash_does_not_change_with_tests_and_compiled_files(tmp_path: Path) -> None:
    before = content_hash([tmp_path])

    (tmp_path / "netpol_test.go").write_text("package netpol")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"\0")

    assert content_hash([tmp_path]) == before

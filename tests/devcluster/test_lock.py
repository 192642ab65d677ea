import threading
from pathlib import Path

from devcluster.lock import locked


def test_who_waits_for_a_lock_file_that_is_deleted_locks_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waiting, inside = threading.Event(), threading.Event()

    def wait() -> None:
        with locked(path, on_wait=waiting.set):
            inside.set()

    with locked(path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert waiting.wait(5)
        assert not inside.is_set()
        path.unlink()
    waiter.join(5)

    assert inside.is_set()
    assert path.exists()

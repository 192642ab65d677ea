import json
from pathlib import Path

from bench.audit import AuditLog, kinds, made_twice


def entry(
    resource: str, name: str, *, agent: str = "ringfence-operator/0.1.0", verb: str = "create", code: int = 201
) -> dict[str, object]:
    plural, _, subresource = resource.partition("/")
    target = {"resource": plural, "namespace": "x", "name": name}
    return {
        "userAgent": agent,
        "verb": verb,
        "user": {"username": "u", "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]}},
        "objectRef": target | ({"subresource": subresource} if subresource else {}),
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000001Z",
        "stageTimestamp": "2026-01-01T00:00:00.004001Z",
    }


def log_of(path: Path, *entries: dict[str, object]) -> AuditLog:
    path.write_text("".join(json.dumps(each) + "\n" for each in entries))
    return AuditLog(path)


def test_only_what_came_after_the_mark_is_read(tmp_path: Path) -> None:
    log = log_of(tmp_path / "audit.log", entry("pods", "before"))
    mark = log.mark()
    with (tmp_path / "audit.log").open("a") as file:
        file.write(json.dumps(entry("pods", "after")) + "\n" + '{"half": "a li')

    names = [write.name for write in log.writes(mark)]

    assert names == ["after"]


def test_a_write_has_its_times_and_its_writer(tmp_path: Path) -> None:
    (write,) = log_of(tmp_path / "audit.log", entry("agents/status", "a", verb="patch", code=200)).writes(0)

    assert (write.verb, write.resource, write.credential) == ("patch", "agents/status", "JTI=1")
    assert round(write.answered - write.received, 6) == 0.004


def test_the_operators_writes_are_counted_without_its_lease(tmp_path: Path) -> None:
    log = log_of(
        tmp_path / "audit.log",
        entry("pods", "a"),
        entry("events", "a.1"),
        entry("leases", "ringfence-operator", verb="patch"),
        entry("pods", "b", agent="kubectl/v1"),
    )

    writes = log.by_operator(0)

    assert kinds(writes) == "1 create pods, 1 create events"


def test_nothing_written_is_said_so() -> None:
    assert kinds([]) == "none"


def test_a_pod_is_made_twice_only_if_both_succeeded(tmp_path: Path) -> None:
    log = log_of(
        tmp_path / "audit.log",
        entry("pods", "once"),
        entry("pods", "once", code=409),
        entry("pods", "twice"),
        entry("pods", "twice"),
        entry("pods", "others", agent="kubectl/v1"),
        entry("pods", "others", agent="kubectl/v1"),
    )

    assert made_twice(log.writes(0)) == ["x/twice"]

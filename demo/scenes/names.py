"""An agent reaches the names on its list and is refused others; of another one it is only written down."""

import time

from demo.errors import DemoError
from demo.stage import QUICKSTART, Stage

RESEARCHER, SURVEYOR = "researcher", "surveyor"
ALLOWED, BELOW, OTHER = "http://api.example/", "http://any.depth.wild.test/", "http://web.example/"
SEEN_SECONDS = 60.0
SEEN = '{range .status.deniedDomains[*]}{.name}{"\\t"}{.count}{"\\n"}{end}'


def play(stage: Stage) -> None:
    """Read allowed and refused names, and see what an Audit policy made of the same."""
    stage.apply(QUICKSTART / "5-names.yaml")
    stage.wait("the agents run", lambda now: now[RESEARCHER].is_ready and now[SURVEYOR].is_ready, seconds=90)
    said = _read(stage, RESEARCHER, ALLOWED, BELOW, OTHER)
    stage.check(f"{ALLOWED}: 200" in said, "the name on the list answers")
    stage.check(f"{BELOW}: 200" in said, "so does one that its wildcard covers")
    reason = f"{OTHER}: 403: Ringfence: SecurityPolicy ringfence-demo/{RESEARCHER} does not let web.example through"
    stage.check(reason in said, "another one is refused, and the refusal says which policy to change")
    looked_up = stage.kube.run("exec", RESEARCHER, "--", "python3", "-c", _look_up("web.example"))
    stage.check("no such name" in looked_up, "and it does not even resolve")
    said = _read(stage, SURVEYOR, ALLOWED, OTHER)
    stage.check(f"{OTHER}: 200" in said, "an Audit policy lets it through")
    _wait_until_seen(stage)


def _read(stage: Stage, agent: str, *urls: str) -> str:
    said = stage.show("exec", agent, "--", "python3", "/app/read.py", *urls)
    stage.screen.say(said.rstrip())
    return said


def _look_up(name: str) -> str:
    return f"import socket\ntry: print(socket.gethostbyname('{name}'))\nexcept socket.gaierror: print('no such name')"


def _wait_until_seen(stage: Stage) -> None:
    """Wait for the name in the Audit policy's status: gateways report now and then, not for each request."""
    begun = time.monotonic()
    arguments = ("get", "securitypolicy", SURVEYOR, "-o", f"jsonpath={SEEN}")
    stage.command(*arguments)
    while "web.example" not in (said := stage.kube.run(*arguments)):
        if time.monotonic() - begun > SEEN_SECONDS:
            raise DemoError(f"the policy's status does not tell of web.example after {SEEN_SECONDS:.0f} s")
        time.sleep(1)
    stage.screen.say(said.rstrip())
    stage.check(True, f"and its status tells what Enforce would refuse, {time.monotonic() - begun:.0f} s later")

"""Agents from outside: made for a while, and taken away whatever happens."""

import asyncio
import functools
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from ringfence.agent import Agent
from ringfence.cluster import cluster_errors
from ringfence.errors import ClusterError, NotReadyError
from ringfence.template import Template, manifest_of, name_for
from ringfence.threads import finished, in_thread
from ringfence_kube.api import Api
from ringfence_kube.attending import remove, states
from ringfence_kube.connection import Target, connect
from ringfence_kube.events import last_events
from ringfence_kube.objects import Raw, collection, condition, is_true, name_of
from ringfence_kube.throwaway import Wish, agent_body, outcome, waiting_body, waiting_for

READY_SECONDS = 120.0
Say = Callable[[str], object]


@asynccontextmanager
async def isolated_execution(
    template: Template | None = None,
    *,
    image: str | None = None,
    security_policy: str | None = None,
    quota: str | None = None,
    connectors: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    isolation: str | None = None,
    cpu: str | None = None,
    memory: str | None = None,
    lifetime: str | None = None,
    namespace: str | None = None,
    kubeconfig: str | None = None,
    context: str | None = None,
    ready_timeout: float = READY_SECONDS,
    on_progress: Say | None = None,
) -> AsyncIterator[Agent]:
    """Make an agent, wait until it is ready, and take it away at the end, which waits until it is gone.

    `template` is a manifest of kind Agent, or the path of one in YAML; what is given besides holds in place of what it
    says. Without a command the agent waits for what is run in it. `lifetime` (`1h`) is when it ends if nobody is left
    to take it away. `on_progress` gets sentences on what is waited for, at most `ready_timeout` seconds.

    Raises NotReadyError, ClusterError, and ValueError for a template that is none.
    """
    wish = Wish(
        image=image,
        policy=security_policy,
        quota=quota,
        connectors=connectors,
        env=env,
        labels=labels,
        isolation=isolation,
        cpu=cpu,
        memory=memory,
        timeout=lifetime,
        manifest=manifest_of(template),
    )
    named = (wish.manifest.get("metadata") or {}).get("namespace")
    target = Target(kubeconfig=kubeconfig, context=context, namespace=namespace or named)
    with cluster_errors():
        connection = await in_thread(functools.partial(connect, target))
    body = agent_body(wish, name_for(wish.manifest), connection.namespace, mark=secrets.token_hex(16))
    async with _made(connection.api, waiting_body(body)) as made:
        yield Agent(connection.api, await _ready(connection.api, made, ready_timeout, on_progress))


@asynccontextmanager
async def _made(api: Api, body: Raw) -> AsyncIterator[Raw]:
    """Create the agent of a manifest, and delete it at the end."""
    path = collection("agents", body["metadata"]["namespace"])

    async def taken_away() -> None:
        with cluster_errors():
            await finished(in_thread(functools.partial(remove, api, path, body)))

    try:
        with cluster_errors():
            # To its end, as only then it is known whether there is something to delete.
            made = await finished(in_thread(functools.partial(api.create, path, body)))
        yield made
    except BaseException as error:
        try:
            await taken_away()
        except ClusterError as left:
            error.add_note(str(left))  # it must not hide what has happened
        raise
    else:
        await taken_away()


async def _ready(api: Api, made: Raw, seconds: float, on_progress: Say | None) -> Raw:
    loop = asyncio.get_running_loop()

    def say(text: str) -> None:
        if on_progress:
            loop.call_soon_threadsafe(on_progress, text)

    with cluster_errors():
        try:
            async with asyncio.timeout(seconds):
                return await in_thread(functools.partial(_until_ready, api, made, say))
        except TimeoutError:
            late = f"was not ready in {seconds:g} s"
            raise await in_thread(functools.partial(_not_ready, api, made, late)) from None


def _until_ready(api: Api, made: Raw, say: Say) -> Raw:
    told = ""
    for agent in states(api, collection("agents", made["metadata"]["namespace"]), made):
        if outcome(agent):
            raise _not_ready(api, agent, "cannot run")
        if is_true(agent, "Ready"):
            return agent
        if waiting_for(agent) != told:
            told = waiting_for(agent)
            say(told)
    raise NotReadyError(f"somebody deleted Agent {name_of(made)} before it was ready", reason="")


def _not_ready(api: Api, agent: Raw, what: str) -> NotReadyError:
    """Return the error that says why, as far as the cluster tells it."""
    found = api.find(f"{collection('agents', agent['metadata']['namespace'])}/{name_of(agent)}") or agent
    why = condition(found, "Ready") or {"reason": "", "message": "the operator has not looked at it"}
    ended = outcome(found)
    sentence = ended.sentence if ended and ended.sentence else f"{why['reason']}, {why.get('message', '')}"
    events = tuple(last_events(api, found))
    told = f" (last events: {'; '.join(events)})" if events else ""
    return NotReadyError(f"Agent {name_of(found)} {what}: {sentence}{told}", reason=why["reason"], events=events)

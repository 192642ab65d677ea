"""The state machine by itself, against a client that takes, refuses, or is slow."""

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ringfence_operator.control.delta import Delta, Request, Response
from ringfence_operator.control.node import Node
from ringfence_operator.control.resource import CLUSTER, LISTENER, ROUTES, Resource, resource_of
from ringfence_operator.control.store import Store

A, B = "p-00001", "p-00002"


def resource(name: str, content: str, type_url: str = LISTENER) -> Resource:
    return resource_of(type_url, name, content.encode())


def begun(*resources: Resource, initial: dict[str, str] | None = None) -> tuple[Delta, dict[str, Resource]]:
    held = {each.name: each for each in resources}
    delta = Delta(LISTENER, held)
    delta.receive(Request(initial=initial or {}))
    return delta, held


def sent(delta: Delta) -> Response:
    response = delta.next_response()
    assert response is not None
    return response


def names(response: Response) -> list[str]:
    return [each.name for each in response.resources]


def test_a_client_is_sent_what_it_lacks_what_differs_and_what_is_gone() -> None:
    one, two = resource("p-00001-http", "1"), resource("p-00002-http", "2")
    delta, _ = begun(one, two, initial={one.name: one.version, two.name: "older", "p-00003-http": "x"})

    first, second = sent(delta), sent(delta)

    assert (names(first), first.removed) == ([], ("p-00003-http",))
    assert names(second) == [two.name]
    assert delta.next_response() is None


def test_a_client_that_has_all_is_sent_nothing_and_counts_as_having_it() -> None:
    one = resource("p-00001-http", "1")
    delta, _ = begun(one, initial={one.name: one.version})

    assert delta.next_response() is None
    assert delta.has(one)


def test_nothing_is_had_before_it_is_acknowledged() -> None:
    one = resource("p-00001-http", "1")
    delta, _ = begun(one)
    response = sent(delta)

    assert not delta.has(one)
    assert delta.receive(Request(nonce=response.nonce)) == {1}
    assert delta.has(one)


def test_what_is_refused_together_is_sent_alone_and_what_is_refused_alone_not_again() -> None:
    good, bad = resource("p-00001-http", "good"), resource("p-00002-http", "bad")
    delta, held = begun(good, bad)
    delta.receive(Request(nonce=sent(delta).nonce, error="something"))

    alone = [sent(delta), sent(delta)]
    for response in alone:
        error = "bad port" if names(response) == [bad.name] else None
        delta.receive(Request(nonce=response.nonce, error=error))

    assert sorted(names(each) for each in alone) == [[good.name], [bad.name]]
    assert (delta.has(good), delta.refusal(good)) == (True, None)
    assert (delta.has(bad), delta.refusal(bad)) == (False, "bad port")
    delta.changed(bad.name)
    assert delta.next_response() is None
    held[bad.name] = resource(bad.name, "better")
    delta.changed(bad.name)
    assert names(sent(delta)) == [bad.name]


def test_after_a_refusal_the_older_version_is_sent_again() -> None:
    old, new = resource("p-00001-http", "old"), resource("p-00001-http", "new")
    delta, held = begun(old, initial={old.name: old.version})
    held[old.name] = new
    delta.changed(old.name)
    delta.receive(Request(nonce=sent(delta).nonce, error="no"))

    held[old.name] = old
    delta.changed(old.name)

    assert names(sent(delta)) == [old.name]


def test_what_is_there_again_before_its_removal_is_acknowledged_is_sent() -> None:
    one = resource("p-00001-http", "1")
    delta, held = begun(one, initial={one.name: one.version})
    del held[one.name]
    delta.changed(one.name)
    removal = sent(delta)

    held[one.name] = one
    delta.changed(one.name)
    delta.receive(Request(nonce=removal.nonce))

    assert names(sent(delta)) == [one.name]


def test_a_name_that_is_subscribed_and_not_there_is_told_to_be_gone() -> None:
    delta = Delta(ROUTES, {})

    delta.receive(Request(subscribe=(A,)))

    assert sent(delta).removed == (A,)


def test_a_client_that_names_no_routes_wants_none_and_is_sent_those_it_names() -> None:
    held = {each: resource(each, "1", ROUTES) for each in (A, B)}
    delta = Delta(ROUTES, held)
    delta.receive(Request(subscribe=(A,)))

    first = sent(delta)
    delta.receive(Request(nonce=first.nonce, unsubscribe=(A,)))
    held[A] = resource(A, "2", ROUTES)
    delta.changed(A)

    assert names(first) == [A]
    assert delta.next_response() is None
    assert delta.names_of(1) == set()


@pytest.mark.parametrize("is_again", [False, True])
def test_a_cluster_goes_after_its_listeners_on_a_new_stream_too(is_again: bool) -> None:
    store = Store()
    listener, cluster = resource("p-00001-http", "1"), resource(A, "1", CLUSTER)
    if not is_again:
        store.put(1, "1", [listener, cluster])
    node = Node("pod", "envoy", store, wake=lambda: None)
    node.receive(CLUSTER, Request(initial={A: cluster.version}))
    early = node.next_response()
    node.receive(LISTENER, Request(initial={listener.name: listener.version}))
    node.changed(store.withdraw(1))

    first = node.next_response()
    second = node.next_response()
    assert first is not None
    node.receive(LISTENER, Request(nonce=first.nonce))
    third = node.next_response()

    assert early is None
    assert (first.type_url, second) == (LISTENER, None)
    assert third is not None
    assert (third.type_url, third.removed) == (CLUSTER, (A,))
    assert not node.has_nothing_of(1)
    node.receive(CLUSTER, Request(nonce=third.nonce))
    assert node.has_nothing_of(1)


class Conversation(RuleBasedStateMachine):
    """Whatever comes in whatever order: once all is answered, the client has what it takes, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Resource] = {}
        self.client: dict[str, str] = {}
        self.delta = Delta(LISTENER, self.held)
        self.delta.receive(Request())
        self.unanswered: list[Response] = []
        self.rejected: list[tuple[str, str]] = []

    @rule(block=st.integers(0, 3), content=st.sampled_from(["a", "b", "bad"]))
    def put(self, block: int, content: str) -> None:
        name = f"p-{block:05}-http"
        self.held[name] = resource(name, content)
        self.delta.changed(name)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[name]
        self.delta.changed(name)

    @rule()
    def send(self) -> None:
        response = self.delta.next_response()
        if response is not None:
            self.unanswered.append(response)

    @precondition(lambda self: self.unanswered)
    @rule()
    def answer(self) -> None:
        response = self.unanswered.pop(0)
        bad = [each for each in response.resources if each.body == b"bad"]
        self.client.update({each.name: each.version for each in response.resources if each not in bad})
        for name in response.removed:
            self.client.pop(name, None)
        if len(response.resources) == 1:
            self.rejected += [(each.name, each.version) for each in bad]
        self.delta.receive(Request(nonce=response.nonce, error="bad" if bad else None))

    @invariant()
    def what_it_is_said_to_have_it_has(self) -> None:
        if not self.unanswered:
            for each in self.held.values():
                assert not self.delta.has(each) or self.client.get(each.name) == each.version

    def teardown(self) -> None:
        for _ in range(100):
            self.send()
            if self.unanswered:
                self.answer()
        assert self.delta.is_settled
        for name, each in self.held.items():
            assert self.delta.has(each) == (each.body != b"bad")
            assert (self.delta.refusal(each) is not None) == (each.body == b"bad")
            assert each.body == b"bad" or self.client[name] == each.version
        assert self.client.keys() <= self.held.keys()


Conversation.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=30)
TestConversation = Conversation.TestCase

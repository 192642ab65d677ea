from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from ringfence_gateway.names import Verdict
from ringfence_gateway.record import Record


def metrics(record: Record) -> str:
    registry = CollectorRegistry()
    registry.register(record)
    return generate_latest(registry).decode()


def test_metrics_name_policies_and_never_names() -> None:
    record = Record(clock=lambda: 5.0)
    record.serve(17, "team/web")

    record.requested(17, "a.example", 443, Verdict.ALLOWED, via="tls")
    record.asked(17, "b.example", Verdict.DENIED)
    record.answered(17, "NXDOMAIN")
    record.dropped(17)
    record.limited({(17, "new"): 3, (18, "new"): 4})
    record.refused()

    text = metrics(record)
    assert 'ringfence_gateway_requests_total{policy="team/web",verdict="allowed",via="tls"} 1.0' in text
    assert 'ringfence_gateway_requests_total{policy="team/web",verdict="denied",via="dns"} 1.0' in text
    assert 'ringfence_gateway_dns_queries_total{policy="team/web",rcode="NXDOMAIN"} 1.0' in text
    assert 'ringfence_gateway_dns_dropped_total{policy="team/web"} 1.0' in text
    assert 'ringfence_gateway_connections_limited_total{limit="new",policy="team/web"} 3.0' in text
    assert text.count("connections_limited_total{") == 1
    assert "ringfence_gateway_resolver_refused_total 1.0" in text
    assert "example" not in text


def test_nothing_is_counted_for_a_block_that_is_not_served() -> None:
    record = Record()

    record.requested(17, "a.example", 443, Verdict.ALLOWED, via="tls")

    assert not record.take()
    assert "policy=" not in metrics(record)


def test_a_policy_that_is_gone_leaves_no_series_and_no_names() -> None:
    record = Record()
    record.serve(17, "team/web")
    record.requested(17, "a.example", 443, Verdict.ALLOWED, via="tls")
    record.answered(17, "NOERROR")
    taken = record.take()
    record.requested(17, "a.example", 443, Verdict.ALLOWED, via="tls")

    record.forget(17)
    record.give_back(taken)

    assert not record.take()
    assert "policy=" not in metrics(record)


def test_another_policy_on_the_block_begins_at_nothing() -> None:
    record = Record()
    record.serve(17, "team/web")
    record.requested(17, "a.example", 443, Verdict.ALLOWED, via="tls")

    record.serve(17, "team/other")

    assert not record.take()

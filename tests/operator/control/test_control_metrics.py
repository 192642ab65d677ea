from ringfence_operator.control.metrics import ControlMetrics


def test_what_goes_out_is_counted_and_connections_are_read_when_somebody_asks() -> None:
    metrics = ControlMetrics()
    connections = {"sidecars": 0, "gateways": 0}
    metrics.expose(sidecars=lambda: connections["sidecars"], gateways=lambda: connections["gateways"])

    metrics.sent(30)
    metrics.sent(12)
    metrics.answered(200)
    metrics.answered(0)
    connections.update(sidecars=3, gateways=2)

    value = metrics.registry.get_sample_value
    assert value("ringfence_control_sent_bytes_total") == 42
    assert value("ringfence_control_sidecar_answers_total", {"code": "200"}) == 1
    assert value("ringfence_control_sidecar_answers_total", {"code": "0"}) == 1
    assert value("ringfence_control_sidecar_connections") == 3
    assert value("ringfence_control_gateways") == 2

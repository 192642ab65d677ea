"""The egress gateway: Envoy, and what stands beside it in its pod."""

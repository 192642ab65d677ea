"""The uids of the dashboards, and how one leads to another."""

from tools.dashboards.panel import Link

FLEET = "ringfence-fleet"
AGENT = "ringfence-agent"
CONNECTORS = "ringfence-connectors"
QUOTAS = "ringfence-quotas"
EGRESS = "ringfence-egress"
OPERATOR = "ringfence-operator"
POOLS = "ringfence-pools"

TO_AGENT = Link("The agent", AGENT, (("namespace", "namespace"), ("agent", "agent")))
TO_CONNECTORS = Link("The namespace's connectors", CONNECTORS, (("namespace", "namespace"),))
TO_CONNECTOR = Link("The connector", CONNECTORS, (("namespace", "namespace"), ("connector", "connector")))
TO_QUOTAS = Link("The namespace's quotas", QUOTAS, (("namespace", "namespace"),))
TO_QUOTA = Link("The quota", QUOTAS, (("namespace", "namespace"), ("quota", "quota")))
TO_POOL = Link("The pool", POOLS, (("namespace", "namespace"), ("pool", "pool")))
TO_POLICY = Link("The policy", EGRESS, (("policy", "policy"),))
TO_EGRESS = Link("Egress", EGRESS)
TO_OPERATOR = Link("The operator", OPERATOR)

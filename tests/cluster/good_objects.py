"""Objects that the API server must accept, and the defaults that it must add."""

# A table reads best with a row to a line, however long.
# ruff: noqa: E501
# fmt: off

from tests.cluster.rows import Body, Good

BACKOFF = {"limit": 6, "initialDelay": "10s", "maxDelay": "5m"}
AGENT: Body = {"isolation": "Container", "mode": "Service", "suspend": False, "backoff": BACKOFF, "sidecar": {"update": "OnReplacement"}}
PROBE = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3}
VALUES: Body = {"enabled": True, "maxSize": "1Mi", "maxTtl": "24h"}
KEPT: Body = {"cache": {"eviction": "LRU", "localSize": "16Mi", "values": VALUES}}
POLICY: Body = {"network": {"enabled": True, "mode": "Enforce"}, **KEPT}

FROM_POOL: Body = {"poolRef": {"name": "p"}, "command": ["run"]}
SETTINGS: Body = {"updateStrategy": {"type": "Recreate"}, "refill": {"delay": "2s"}, "deletionPolicy": "Orphan"}
POOL: Body = {"size": 1, "template": {"image": "busybox", "isolation": "Container", "restartPolicy": "Always"}, **SETTINGS}
SPREAD: Body = {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}

GOOD_POOLS = (
    Good("the least", {}, POOL),
    Good("none at all", {"size": 0}, {**POOL, "size": 0}),
    Good("as many as may be", {"size": 1000}, {**POOL, "size": 1000}, name="a" * 57),
    Good("a whole template", {"template": {
        "image": "i:1",
        "isolation": "Secure",
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "imagePullSecrets": [{"name": "r"}],
        "resources": {"limits": {"cpu": "1"}},
        "securityPolicyRef": {"name": "web"},
        "nodeSelector": {"a": "b"},
        "podMetadata": {"labels": {"a": "b"}},
        "topologySpreadConstraints": [{**SPREAD, "maxSkew": 2}],
        "restartPolicy": "Never",
        "connectors": [{"name": "snow"}, {"name": "mq"}],
    }}, {"size": 1, **SETTINGS}),
    Good("every setting", {
        "minWarm": 2, "maxSize": 2, "maxIdleTime": "1m", "deletionPolicy": "Delete", "updateStrategy": {"type": "OnClaim"},
        "refill": {"delay": "10m", "rate": 1000, "priorityClassName": "low"},
    }, {"size": 1, "template": POOL["template"]}),
    Good("a refill that does not wait", {"refill": {"delay": "0s"}, "minWarm": 0, "maxSize": 0}, {"size": 1, "template": POOL["template"], **SETTINGS, "refill": {"delay": "0s"}}),
    Good("looser policies", {"allowedPolicies": ["open", "wide"]}, POOL),
)

GOOD_AGENTS = (
    Good("the least", {}, AGENT),
    Good("a name that starts with a digit", {}, AGENT, name="1st"),
    Good("a pod of a pool", {"image": None, **FROM_POOL}, AGENT),
    Good("a pod of a pool, with all that may be said", {
        "image": None, **FROM_POOL, "onMiss": "Cold", "args": ["-u"], "workingDir": "/srv",
        "env": [{"name": "A", "value": "1"}, {"name": "B"}], "files": [{"path": "/tmp/x", "content": "y"}, {"path": "/tmp/c", "configMap": {"name": "c"}}],
        "securityPolicyRef": {"name": "web"}, "quotaRef": {"name": "q"}, "maxExecutionTime": "1h", "restartPolicy": "Always",
        "podMetadata": {"labels": {"a": "b"}}, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    }, AGENT),
    Good("a pod of a pool, with a connector", {"image": None, **FROM_POOL, "connectors": [{"name": "snow"}]}, AGENT),
    Good("a task from a pool", {"image": None, **FROM_POOL, "mode": "Task", "restartPolicy": "Never"}, {**AGENT, "mode": "Task"}),
    Good("what only a pod of its own can have", {
        "image": None, **FROM_POOL, "onMiss": "Cold", "priorityClassName": "low", "connectors": [{"name": "snow"}],
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}], "envFrom": [{"configMapRef": {"name": "c"}}],
        "workspace": {"size": "1Gi"}, "probes": {"readiness": {"tcpSocket": {"port": 1}}},
    }, {
        **AGENT, "workspace": {"mountPath": "/workspace", "reclaimPolicy": "Delete"},
        "probes": {"readiness": {**PROBE, "successThreshold": 1}},
    }),
    Good("a pod of a weaker pool", {"image": None, **FROM_POOL, "isolation": "Basic"}, {**AGENT, "isolation": "Basic"}),
    Good("a name as long as may be", {}, AGENT, name="a" * 63),
    Good("a task", {"mode": "Task", "restartPolicy": "OnFailure", "ttlAfterFinished": "0s", "maxExecutionTime": "1h30m"}, AGENT),
    Good("a service that expires", {"maxExecutionTime": "90s", "ttlAfterFinished": "1h", "restartPolicy": "Always"}, AGENT),
    Good("a back-off of its own", {"backoff": {"limit": 0}}, {**AGENT, "backoff": BACKOFF}),
    Good("delays that are equal", {"backoff": {"initialDelay": "60s", "maxDelay": "1m"}}, {**AGENT, "backoff": BACKOFF}),
    Good("whole cores", {"resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}}}, AGENT),
    Good("requests alone", {"resources": {"requests": {"ephemeral-storage": "1.5Gi", "cpu": "0.1"}}}, AGENT),
    Good("connectors", {"connectors": [{"name": "snow"}, {"name": "mq"}], "sidecar": {"update": "Immediately"}, "ports": [{"name": "http", "port": 8810, "protocol": "TCP"}]}, AGENT),
    Good("a port of the sidecar's where there is none", {"ports": [{"name": "http", "port": 8811, "protocol": "TCP"}], "connectors": []}, AGENT),
    Good("every kind of input", {
        "command": ["python3", "-c"],
        "args": [""],
        "workingDir": "/",
        "env": [{"name": "A"}, {"name": "B.c-d_1", "value": ""}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": ".k"}}}],
        "envFrom": [{"prefix": "X_", "configMapRef": {"name": "a.b"}}, {"secretRef": {"name": "my-ringfence-key"}}],
        "files": [{"path": "/etc/app/a b.txt", "content": "€"}, {"path": "/data", "configMap": {"name": "c"}}, {"path": "/data2/x..y", "configMap": {"name": "c", "key": "k"}}],
        "imagePullSecrets": [{"name": "registry"}],
    }, AGENT),
    Good("a workspace", {"workspace": {"size": "10Gi"}}, {**AGENT, "workspace": {"mountPath": "/workspace", "reclaimPolicy": "Delete"}}),
    Good("a workspace counted in bytes", {"workspace": {"size": 1073741824, "storageClassName": "fast", "mountPath": "/data/x", "reclaimPolicy": "Retain"}}, AGENT),
    Good("an adopted workspace", {"workspace": {"claimName": "old-claim"}}, {**AGENT, "workspace": {"mountPath": "/workspace", "reclaimPolicy": "Delete"}}),
    Good("a file inside the workspace", {"workspace": {"size": "1", "mountPath": "/w", "reclaimPolicy": "Delete"}, "files": [{"path": "/w/in.csv", "content": ""}]}, AGENT),
    Good("a place to run", {
        "nodeSelector": {"kubernetes.io/arch": "amd64", "empty": ""},
        "tolerations": [{"operator": "Exists"}, {"key": "example.com/a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
        "priorityClassName": "system-low",
        "securityPolicyRef": {"name": "open"},
        "isolation": "Secure",
        "suspend": True,
    }, AGENT),
    Good("labels and annotations", {"podMetadata": {"labels": {"app.kubernetes.io/name": "x", "notringfence.dev/a": ""}, "annotations": {"example.com/note": "any text: at all\n"}}}, AGENT),
    Good("ports of both protocols", {"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]}, AGENT),
    Good("probes", {"probes": {
        "startup": {"exec": {"command": ["true"]}, **PROBE},
        "readiness": {"httpGet": {"port": 80}},
        "liveness": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
    }}, {**AGENT, "probes": {
        "readiness": {**PROBE, "successThreshold": 1, "httpGet": {"path": "/", "scheme": "HTTP"}},
        "liveness": PROBE,
    }}),
)

GOOD_POLICIES = (
    Good("the least, which opens nothing", {}, POLICY),
    Good("a closed network", {"network": {"enabled": False, "cidrs": []}}, {"network": {"mode": "Enforce"}, **KEPT}),
    Good("names", {"network": {"mode": "Audit", "allowedDomains": [{"name": "a.example"}, {"name": "*.b-c.example.com", "ports": [443, 8443]}, {"name": "xn--bcher-kva.example"}], "blockedDomains": [{"name": "x.b-c.example.com"}, {"name": "*.y.b-c.example.com", "ports": [80]}]}}, {"network": {"enabled": True}, **KEPT}),
    Good("as many names as there may be", {"network": {"allowedDomains": [{"name": f"*.n{n}.{'a' * 60}.example"} for n in range(512)]}}, POLICY),
    Good("a service", {"network": {"destinations": [{"service": {"name": "db"}}, {"service": {"name": "db", "namespace": "data"}}]}}, POLICY),
    Good("all pods of all namespaces", {"network": {"destinations": [{"namespaceSelector": {}, "podSelector": {}}]}}, POLICY),
    Good("destinations", {"network": {"destinations": [{
        "podSelector": {
            "matchLabels": {"app": "db"},
            "matchExpressions": [{"key": "example.com/tier", "operator": "In", "values": ["a", ""]}, {"key": "b", "operator": "DoesNotExist"}],
        },
        "ports": [{"port": 5432, "protocol": "TCP"}, {"port": 8000, "endPort": 8000, "protocol": "SCTP"}],
    }]}}, POLICY),
    Good("blocks of both families", {"network": {"cidrs": [
        {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.168.1.1/32"], "ports": [{"port": 443, "protocol": "TCP"}]},
        {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]},
        {"cidr": "::/0"},
    ]}}, POLICY),
    Good("ingress", {"network": {"ingress": [
        {"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}, {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}], "ports": [{"port": 80, "protocol": "TCP"}]},
    ]}}, POLICY),
    Good("everything else", {
        "network": {"enabled": True, "mode": "Enforce"},
        "fileSystem": {"readOnlyRoot": False, "writablePaths": [{"path": "/tmp", "size": "1Gi"}, {"path": "/var/cache", "size": 1024}]},
        "maxExecutionTime": "24h",
        "runtimeClassName": "gvisor",
        "seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/agent.json"},
        "cache": {"eviction": "LFU", "localSize": "1Mi", "values": {"enabled": False, "sharedAs": "crew", "maxSize": "1Ki", "maxTtl": "5m"}},
    }),
)

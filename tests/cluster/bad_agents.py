"""Agents that the API server must refuse, one broken rule each."""

# A table reads best with a row to a line, however long.
# ruff: noqa: E501
# fmt: off

from tests.cluster.bad_pools import FROM_A_POOL
from tests.cluster.rows import Bad, Body

DURATION = "write a duration above zero in hours, minutes and seconds, such as 90s, 15m or 1h30m"
PLAIN_PATH = "write a plain absolute path such as /workspace"
OWN_PATH = "belong to the container: write another path"
RESERVED_SECRET = "Secrets whose names start with ringfence- belong to the operator"
RESERVED_KEY = "keys under ringfence.dev/ belong to the operator"
LOOSENING = "could loosen the confinement: leave them out"
CPU = "write a quantity above zero, such as 500m or 2"
BYTES = "write a quantity above zero, such as 512Mi or 10Gi"


def _env(variable: Body) -> Body:
    return {"env": [variable]}


def _env_from(source: Body) -> Body:
    return {"envFrom": [source]}


def _file(path: str, **content: object) -> Body:
    return {"files": [{"path": path, **(content or {"content": "x"})}]}


def _workspace(**fields: object) -> Body:
    return {"workspace": {"size": "1Gi", **fields}}


def _limits(**amounts: object) -> Body:
    return {"resources": {"limits": {key.replace("_", "-"): amount for key, amount in amounts.items()}}}


def _requests(resource: str, requested: object, limit: object) -> Body:
    return {"resources": {"requests": {resource: requested}, "limits": {resource: limit}}}


def _readiness(**probe: object) -> Body:
    return {"probes": {"readiness": probe}}


def _annotation(key: str, value: str = "x") -> Body:
    return {"podMetadata": {"annotations": {key: value}}}


def _label(key: str, value: str = "x") -> Body:
    return {"podMetadata": {"labels": {key: value}}}


def _port(name: str = "http", port: object = 80, **more: object) -> Body:
    return {"name": name, "port": port, **more}


LIFE = (
    Bad("no image", {}, "spec.image", "write an image, or poolRef", without="image"),
    Bad("empty image", {"image": ""}, "spec.image", "should be at least 1 chars long"),
    Bad("image with a space", {"image": "busybox latest"}, "spec.image", "write an image without spaces"),
    Bad("image too long", {"image": "a" * 1025}, "spec.image", "may not be more than 1024"),
    Bad("unknown field", {"serviceAccountName": "x"}, "spec.serviceAccountName", "unknown field"),
    Bad("too many arguments", {"args": ["x"] * 129}, "spec.args", "must have at most 128 items"),
    Bad("command is a string", {"command": "sleep 1"}, "spec.command", "must be of type array"),
    Bad("relative working directory", {"workingDir": "src"}, "spec.workingDir", "write an absolute path"),
    Bad("unknown isolation", {"isolation": "Strong"}, "spec.isolation", 'supported values: "None", "Basic", "Container"'),
    Bad("unknown mode", {"mode": "Batch"}, "spec.mode", 'supported values: "Service", "Task"'),
    Bad("unknown restart policy", {"restartPolicy": "Sometimes"}, "spec.restartPolicy", 'values: "Always", "OnFailure"'),
    Bad("a task that always restarts", {"mode": "Task", "restartPolicy": "Always"}, "spec.restartPolicy", "a Task comes to an end: write restartPolicy OnFailure or Never"),
    Bad("a task with ports", {"mode": "Task", "ports": [_port()]}, "spec.ports", "a Task serves no ports"),
    Bad("time to live without an end", {"ttlAfterFinished": "5m"}, "spec.ttlAfterFinished", "never finishes: leave ttlAfterFinished out"),
    Bad("time to live in words", {"mode": "Task", "ttlAfterFinished": "one hour"}, "spec.ttlAfterFinished", "such as 0s, 90s, 15m or 1h30m"),
    Bad("deadline of zero", {"maxExecutionTime": "0s"}, "spec.maxExecutionTime", DURATION),
    Bad("deadline without a unit", {"maxExecutionTime": "90"}, "spec.maxExecutionTime", DURATION),
    Bad("deadline as a number", {"maxExecutionTime": 90}, "spec.maxExecutionTime", "must be of type string"),
    Bad("deadline in days", {"maxExecutionTime": "2d"}, "spec.maxExecutionTime", DURATION),
    Bad("units the wrong way round", {"maxExecutionTime": "30m1h"}, "spec.maxExecutionTime", DURATION),
    Bad("negative back-off limit", {"backoff": {"limit": -1}}, "spec.backoff.limit", "should be greater than or equal to 0"),
    Bad("back-off limit too high", {"backoff": {"limit": 101}}, "spec.backoff.limit", "should be less than or equal to 100"),
    Bad("back-off delay of zero", {"backoff": {"initialDelay": "0m"}}, "spec.backoff.initialDelay", DURATION),
    Bad("back-off that shrinks", {"backoff": {"initialDelay": "10m"}}, "spec.backoff.maxDelay", "write a maxDelay that is at least initialDelay"),
    Bad("suspend is a string", {"suspend": "yes"}, "spec.suspend", "must be of type boolean"),
    Bad("policy without a name", {"securityPolicyRef": {}}, "spec.securityPolicyRef.name", "Required value"),
    Bad("policy name in capitals", {"securityPolicyRef": {"name": "Open"}}, "spec.securityPolicyRef.name", "write lower-case letters, digits and -"),
    Bad("name with a dot", {}, "Agent", "write metadata.name with at most 63 lower-case letters, digits and -", name="a.b"),
    Bad("name too long", {}, "Agent", "write metadata.name with at most 63 lower-case letters, digits and -", name="a" * 64),
    Bad("ports, but a name that no Service may have", {"ports": [_port()]}, "Agent", "write a metadata.name that starts with a letter", name="1st"),
)

INPUT = (
    Bad("variable without a name", _env({"value": "x"}), "spec.env[0].name", "Required value"),
    Bad("variable name with a digit first", _env({"name": "1A"}), "spec.env[0].name", "write a variable name such as LOG_LEVEL"),
    Bad("variable name with =", _env({"name": "A=B"}), "spec.env[0].name", "write a variable name such as LOG_LEVEL"),
    Bad("variable twice", {"env": [{"name": "A"}, {"name": "A"}]}, "spec.env[1]", "Duplicate value"),
    Bad("value is a number", _env({"name": "A", "value": 1}), "spec.env[0].value", "must be of type string"),
    Bad("value and source", _env({"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}), "spec.env[0]", "give either value or valueFrom, not both"),
    Bad("source that names none", _env({"name": "A", "valueFrom": {}}), "spec.env[0].valueFrom", "name one source: secretKeyRef or configMapKeyRef"),
    Bad("source that names two", _env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}, "configMapKeyRef": {"name": "c", "key": "k"}}}), "spec.env[0].valueFrom", "name one source"),
    Bad("source of an unknown kind", _env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec"}}}), "spec.env[0].valueFrom.fieldRef", "unknown field"),
    Bad("key of the operator's Secret", _env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "ringfence-tls", "key": "k"}}}), "spec.env[0].valueFrom.secretKeyRef.name", RESERVED_SECRET),
    Bad("Secret without a key", _env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}), "spec.env[0].valueFrom.secretKeyRef.key", "Required value"),
    Bad("key with a slash", _env({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a/b"}}}), "spec.env[0].valueFrom.configMapKeyRef.key", "write a key of the ConfigMap or Secret"),
    Bad("variables from nowhere", _env_from({"prefix": "A_"}), "spec.envFrom[0]", "name one source: configMapRef or secretRef"),
    Bad("variables from both", _env_from({"configMapRef": {"name": "c"}, "secretRef": {"name": "s"}}), "spec.envFrom[0]", "name one source: configMapRef or secretRef"),
    Bad("variables from the operator's Secret", _env_from({"secretRef": {"name": "ringfence-redis"}}), "spec.envFrom[0].secretRef.name", RESERVED_SECRET),
    Bad("prefix with a space", _env_from({"prefix": "A B", "configMapRef": {"name": "c"}}), "spec.envFrom[0].prefix", "write a prefix such as APP_"),
    Bad("ConfigMap name in capitals", _env_from({"configMapRef": {"name": "Settings"}}), "spec.envFrom[0].configMapRef.name", "write the object's name"),
    Bad("pull secret of the operator", {"imagePullSecrets": [{"name": "ringfence-pull"}]}, "spec.imagePullSecrets[0].name", RESERVED_SECRET),
    Bad("pull secret twice", {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}, "spec.imagePullSecrets[1]", "Duplicate value"),
    Bad("too many pull secrets", {"imagePullSecrets": [{"name": f"s{n}"} for n in range(9)]}, "spec.imagePullSecrets", "must have at most 8 items"),
    Bad("file without content", {"files": [{"path": "/a"}]}, "spec.files[0]", "give either content or configMap"),
    Bad("file with two contents", _file("/a", content="x", configMap={"name": "c"}), "spec.files[0]", "give either content or configMap"),
    Bad("file with a relative path", _file("a.txt"), "spec.files[0].path", "write an absolute path"),
    Bad("file path with ..", _file("/a/../etc/passwd"), "spec.files[0].path", PLAIN_PATH),
    Bad("file path with a trailing slash", _file("/a/"), "spec.files[0].path", PLAIN_PATH),
    Bad("file path with a doubled slash", _file("/a//b"), "spec.files[0].path", PLAIN_PATH),
    Bad("file path with a colon", _file("/a:b"), "spec.files[0].path", PLAIN_PATH),
    Bad("file path with a line break", _file("/a\nb"), "spec.files[0].path", PLAIN_PATH),
    Bad("file at the root", _file("/"), "spec.files[0].path", OWN_PATH),
    Bad("file under /proc", _file("/proc/self/x"), "spec.files[0].path", OWN_PATH),
    Bad("file under /sys", _file("/sys/fs"), "spec.files[0].path", OWN_PATH),
    Bad("file at /dev", _file("/dev"), "spec.files[0].path", OWN_PATH),
    Bad("file twice", {"files": [{"path": "/a", "content": "x"}, {"path": "/a", "content": "y"}]}, "spec.files[1]", "Duplicate value"),
    Bad("file inside a directory of files", {"files": [{"path": "/a", "configMap": {"name": "c"}}, {"path": "/a/b", "content": "y"}]}, "spec.files", "one path lies inside another"),
    Bad("file too long", _file("/a", content="x" * 8193), "spec.files[0].content", "may not be more than 8192"),
    Bad("files too long together", {"files": [{"path": f"/f{n}", "content": "€" * 8192} for n in range(6)]}, "spec.files", "inline content may be 128 KiB in all"),
    Bad("too many files", {"files": [{"path": f"/f{n}", "content": "x"} for n in range(17)]}, "spec.files", "must have at most 16 items"),
)

MEANS = (
    Bad("CPU that is no quantity", _limits(cpu="two"), "spec.resources.limits.cpu", CPU),
    Bad("CPU of zero", _limits(cpu=0), "spec.resources.limits.cpu", CPU),
    Bad("memory without end", _limits(memory="9" * 32), "spec.resources.limits.memory", "no machine has that much: write a quantity below 1E"),
    Bad("memory with too great an exponent", _limits(memory="1e20"), "spec.resources.limits.memory", "write a quantity below 1E"),
    Bad("memory with too many digits", _limits(memory="1" * 33), "spec.resources.limits.memory", "may not be more than 32"),
    Bad("memory below zero", _limits(memory="-1Gi"), "spec.resources.limits.memory", BYTES),
    Bad("memory with an unknown unit", _limits(memory="1GB"), "spec.resources.limits.memory", BYTES),
    Bad("memory as a list", _limits(memory=["1Gi"]), "spec.resources.limits.memory", "must be of type"),
    Bad("storage of zero", _limits(ephemeral_storage="0"), "spec.resources.limits.ephemeral-storage", BYTES),
    Bad("CPU as a fraction without quotes", _limits(cpu=0.5), "spec.resources.limits.cpu", "must be of type"),
    Bad("extended resource", {"resources": {"limits": {"nvidia.com/gpu": 1}}}, "spec.resources.limits.nvidia.com/gpu", "unknown field"),
    Bad("CPU request above the limit", _requests("cpu", "1500m", 1), "spec.resources", "requests.cpu is above limits.cpu"),
    Bad("memory request above the limit", _requests("memory", "1Gi", "1023Mi"), "spec.resources", "requests.memory is above limits.memory"),
    Bad("storage request above the limit", _requests("ephemeral-storage", "2Gi", "1Gi"), "spec.resources", "requests.ephemeral-storage is above limits.ephemeral-storage"),
    Bad("workspace without a size", {"workspace": {}}, "spec.workspace", "write a size such as 10Gi, or claimName"),
    Bad("workspace with a size that is none", _workspace(size="large"), "spec.workspace.size", BYTES),
    Bad("adopted workspace with a size", _workspace(claimName="old"), "spec.workspace", "leave out size and storageClassName"),
    Bad("workspace in /dev", _workspace(mountPath="/dev/shm"), "spec.workspace.mountPath", OWN_PATH),
    Bad("workspace at a relative path", _workspace(mountPath="work"), "spec.workspace.mountPath", "write an absolute path"),
    Bad("workspace that is recycled", _workspace(reclaimPolicy="Recycle"), "spec.workspace.reclaimPolicy", 'supported values: "Delete", "Retain"'),
    Bad("claim name with an underscore", {"workspace": {"claimName": "a_b"}}, "spec.workspace.claimName", "write the object's name"),
    Bad("workspace where a file is", {**_workspace(), **_file("/workspace")}, "spec.workspace.mountPath", "the workspace and a file have the same path"),
    Bad("workspace inside a directory of files", {**_workspace(mountPath="/a/b"), **_file("/a", configMap={"name": "c"})}, "spec.workspace.mountPath", "write a mountPath outside it"),
    Bad("node selector with a bad key", {"nodeSelector": {"a b": "x"}}, "spec.nodeSelector", "write keys such as app or example.com/team"),
    Bad("node selector with a bad value", {"nodeSelector": {"a": "-x"}}, "spec.nodeSelector", "with a letter or digit at both ends"),
    Bad("toleration with an unknown effect", {"tolerations": [{"key": "a", "effect": "Never"}]}, "spec.tolerations[0].effect", 'supported values: "NoSchedule"'),
    Bad("toleration that needs a key", {"tolerations": [{"value": "x"}]}, "spec.tolerations[0]", "name the taint's key, or write operator: Exists"),
    Bad("toleration with a value too many", {"tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]}, "spec.tolerations[0]", "Exists takes no value"),
    Bad("toleration for some seconds", {"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, "spec.tolerations[0]", "tolerationSeconds needs effect: NoExecute"),
    Bad("toleration with a bad key", {"tolerations": [{"key": "a b", "operator": "Exists"}]}, "spec.tolerations[0].key", "write a key such as app or example.com/team"),
    Bad("priority class in capitals", {"priorityClassName": "High"}, "spec.priorityClassName", "write the object's name"),
)

OUTSIDE = (
    Bad("label of ours", _label("ringfence.dev/agent"), "spec.podMetadata.labels", RESERVED_KEY),
    Bad("label of a domain below ours", _label("x.ringfence.dev/agent"), "spec.podMetadata.labels", RESERVED_KEY),
    Bad("annotation of ours", _annotation("ringfence.dev/spec-hash"), "spec.podMetadata.annotations", RESERVED_KEY),
    Bad("label value with a space", _label("a", "b c"), "spec.podMetadata.labels", "with a letter or digit at both ends"),
    Bad("label value too long", _label("a", "b" * 64), "spec.podMetadata.labels.a", "may not be more than 63"),
    Bad("label key with two slashes", _label("a/b/c"), "spec.podMetadata.labels", "write keys such as app or example.com/team"),
    Bad("annotation key with a space", _annotation("a b"), "spec.podMetadata.annotations", "write keys such as app"),
    Bad("too many labels", {"podMetadata": {"labels": {f"l{n}": "" for n in range(33)}}}, "spec.podMetadata.labels", "must have at most 32"),
    Bad("annotations too long together", {"podMetadata": {"annotations": {f"a{n}": "x" * 4096 for n in range(17)}}}, "spec.podMetadata.annotations", "annotations may hold 64 KiB in all"),
    Bad("AppArmor by annotation", _annotation("container.apparmor.security.beta.kubernetes.io/agent", "unconfined"), "spec.podMetadata.annotations", LOOSENING),
    Bad("seccomp by annotation", _annotation("seccomp.security.alpha.kubernetes.io/pod", "unconfined"), "spec.podMetadata.annotations", LOOSENING),
    Bad("Kata by annotation", _annotation("io.katacontainers.config.hypervisor.kernel"), "spec.podMetadata.annotations", LOOSENING),
    Bad("gVisor by annotation", _annotation("dev.gvisor.spec.mount.a.type"), "spec.podMetadata.annotations", LOOSENING),
    Bad("CRI-O by annotation", _annotation("io.kubernetes.cri-o.userns-mode"), "spec.podMetadata.annotations", LOOSENING),
    Bad("CRI-O's own domain", _annotation("seccomp-profile.kubernetes.cri-o.io"), "spec.podMetadata.annotations", LOOSENING),
    Bad("devices by annotation", _annotation("cdi.k8s.io/gpu", "vendor.com/gpu=all"), "spec.podMetadata.annotations", LOOSENING),
    Bad("second network by annotation", _annotation("k8s.v1.cni.cncf.io/networks", "host"), "spec.podMetadata.annotations", LOOSENING),
    Bad("default network by annotation", _annotation("v1.multus-cni.io/default-network", "host"), "spec.podMetadata.annotations", LOOSENING),
    Bad("address by annotation", _annotation("k8s.ovn.org/routing-namespaces"), "spec.podMetadata.annotations", LOOSENING),
    Bad("container by annotation", _annotation("sidecar.istio.io/inject"), "spec.podMetadata.annotations", LOOSENING),
    Bad("token by label", {"podMetadata": {"labels": {"azure.workload.identity/use": "true"}}}, "spec.podMetadata.labels", LOOSENING),
    Bad("port of zero", {"ports": [_port(port=0)]}, "spec.ports[0].port", "should be greater than or equal to 1"),
    Bad("port too high", {"ports": [_port(port=65536)]}, "spec.ports[0].port", "should be less than or equal to 65535"),
    Bad("port by name", {"ports": [_port(port="http")]}, "spec.ports[0].port", "must be of type integer"),
    Bad("port without a name", {"ports": [{"port": 80}]}, "spec.ports[0].name", "Required value"),
    Bad("port name without a letter", {"ports": [_port("80")]}, "spec.ports[0].name", "write a name with a letter"),
    Bad("port name too long", {"ports": [_port("a" * 16)]}, "spec.ports[0].name", "may not be more than 15"),
    Bad("port name twice", {"ports": [_port(), _port(port=81)]}, "spec.ports[1]", "Duplicate value"),
    Bad("port number twice", {"ports": [_port(), _port("web")]}, "spec.ports", "two ports have the same number and protocol"),
    Bad("port of an unknown protocol", {"ports": [_port(protocol="SCTP")]}, "spec.ports[0].protocol", 'supported values: "TCP", "UDP"'),
    Bad("probe without a check", _readiness(periodSeconds=5), "spec.probes.readiness", "name exactly one check: httpGet, tcpSocket or exec"),
    Bad("probe with two checks", _readiness(tcpSocket={"port": 1}, httpGet={"port": 1}), "spec.probes.readiness", "name exactly one check"),
    Bad("probe of a relative path", _readiness(httpGet={"port": 1, "path": "healthz"}), "spec.probes.readiness.httpGet.path", "write a path such as /healthz"),
    Bad("probe of another host", _readiness(httpGet={"port": 1, "host": "10.0.0.1"}), "spec.probes.readiness.httpGet.host", "unknown field"),
    Bad("probe with a period of zero", _readiness(tcpSocket={"port": 1}, periodSeconds=0), "spec.probes.readiness.periodSeconds", "should be greater than or equal to 1"),
    Bad("probe with an empty command", _readiness(exec={"command": []}), "spec.probes.readiness.exec.command", "should have at least 1 items"),
    Bad("liveness with a success threshold", {"probes": {"liveness": {"tcpSocket": {"port": 1}, "successThreshold": 2}}}, "spec.probes.liveness.successThreshold", "unknown field"),
)

CONNECTED = (
    Bad("connector twice", {"connectors": [{"name": "c"}, {"name": "c"}]}, "spec.connectors[1]", "Duplicate value"),
    Bad("connector by a bad name", {"connectors": [{"name": "my_db"}]}, "spec.connectors[0].name", "write lower-case letters, digits and -"),
    Bad("too many connectors", {"connectors": [{"name": f"c{n}"} for n in range(17)]}, "spec.connectors", "must have at most 16 items"),
    Bad("a port of the sidecar's", {"connectors": [{"name": "c"}], "ports": [_port("http", 8812)]}, "spec.ports", "the sidecar of an agent with connectors has ports 8811 and 8812"),
    Bad("unknown update", {"sidecar": {"update": "Soon"}}, "spec.sidecar.update", 'supported values: "OnReplacement", "Immediately"'),
    Bad("a connector's label on the pod", _label("connector.ringfence.dev/c", "true"), "spec.podMetadata.labels", RESERVED_KEY),
)

BAD_AGENTS = (*LIFE, *INPUT, *MEANS, *OUTSIDE, *CONNECTED, *FROM_A_POOL)

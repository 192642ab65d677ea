"""AgentPools, and agents from pools, that the API server must refuse, one broken rule each."""

# A table reads best with a row to a line, however long.
# ruff: noqa: E501
# fmt: off

from tests.cluster.rows import Bad, Body

_VALUE_FROM: Body = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
_WARM = "a pool's pods have started already"


def _template(**fields: object) -> Body:
    return {"template": {"image": "busybox", **fields}}


def _from_pool(title: str, spec: Body, path: str, says: str, *, without: str = "image") -> Bad:
    return Bad(f"from a pool: {title}", {"poolRef": {"name": "p"}, "command": ["run"], **spec}, path, says, without=without)


FROM_A_POOL = (
    Bad("onMiss without a pool", {"onMiss": "Cold"}, "spec.onMiss", "write poolRef, or leave it out"),
    Bad("an unknown onMiss", {"poolRef": {"name": "p"}, "command": ["run"], "onMiss": "Retry"}, "spec.onMiss", 'supported values: "Wait", "Cold", "Fail"', without="image"),
    Bad("a pool's name with capitals", {"poolRef": {"name": "P"}, "command": ["run"]}, "spec.poolRef.name", "write lower-case letters", without="image"),
    _from_pool("no command", {"command": []}, "spec.command", "write command"),
    _from_pool("an image", {"image": "busybox"}, "spec.image", "write image in spec.template of the AgentPool", without=""),
    _from_pool("secrets for an image", {"imagePullSecrets": [{"name": "r"}]}, "spec.imagePullSecrets", "write imagePullSecrets in spec.template"),
    _from_pool("a node", {"nodeSelector": {"a": "b"}}, "spec.nodeSelector", "write nodeSelector in spec.template"),
    _from_pool("a toleration", {"tolerations": [{"operator": "Exists"}]}, "spec.tolerations", "write tolerations in spec.template"),
    _from_pool("a limit on memory", {"resources": {"limits": {"memory": "1Gi"}}}, "spec.resources", "write resources in spec.template"),
    _from_pool("a request for disk", {"resources": {"requests": {"ephemeral-storage": "1Gi"}}}, "spec.resources", "write resources in spec.template"),
    _from_pool("a variable from a Secret", {"env": [{"name": "B", "value": "1"}, _VALUE_FROM]}, "spec.env", "write valueFrom in spec.template.env"),
    _from_pool("variables from a ConfigMap", {"envFrom": [{"configMapRef": {"name": "c"}}]}, "spec.envFrom", "write env, and leave envFrom out"),
    _from_pool("a workspace without a cold start", {"onMiss": "Wait", "workspace": {"size": "1Gi"}}, "spec.workspace", "or write onMiss: Cold"),
    _from_pool("a connector, and a port of its sidecar", {"connectors": [{"name": "c"}], "ports": [{"name": "a", "port": 8811}]}, "spec.ports", "write another port"),
    _from_pool("a ServiceAccount", {"serviceAccountName": "other"}, "spec.serviceAccountName", "unknown field"),
    _from_pool("a cold start on a node of its own", {"onMiss": "Cold", "nodeSelector": {"a": "b"}}, "spec.nodeSelector", "write nodeSelector in spec.template"),
    _from_pool("a workspace", {"workspace": {"size": "1Gi"}}, "spec.workspace", "have no workspace"),
    _from_pool("a priority", {"priorityClassName": "low"}, "spec.priorityClassName", "are scheduled already"),
    _from_pool("a probe", {"probes": {"readiness": {"tcpSocket": {"port": 1}}}}, "spec.probes", _WARM),
)

BAD_POOLS = (
    Bad("no template", {}, "spec.template", "Required value", without="template"),
    Bad("no image", {"template": {}}, "spec.template.image", "Required value"),
    Bad("an image with a space", _template(image="a b"), "spec.template.image", "write an image without spaces"),
    Bad("isolation None", _template(isolation="None"), "spec.template.isolation", "always confined: write Basic"),
    Bad("a size below zero", {"size": -1}, "spec.size", "should be greater than or equal to 0"),
    Bad("a size above what may be", {"size": 10_001}, "spec.size", "should be less than or equal to 10000"),
    Bad("a request above its limit", _template(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}), "spec.template.resources", "at most the limit"),
    Bad("an unknown restartPolicy", _template(restartPolicy="Sometimes"), "spec.template.restartPolicy", 'supported values: "Always", "OnFailure", "Never"'),
    Bad("an allowed policy with capitals", {"allowedPolicies": ["P"]}, "spec.allowedPolicies[0]", "write lower-case letters"),
    Bad("a label of ours", _template(podMetadata={"labels": {"ringfence.dev/agent": "a"}}), "spec.template.podMetadata.labels", "belong to the operator"),
    Bad("a command", _template(command=["run"]), "spec.template.command", "unknown field"),
    Bad("a ServiceAccount", _template(serviceAccountName="other"), "spec.template.serviceAccountName", "unknown field"),
    Bad("a connector twice", _template(connectors=[{"name": "c"}] * 2), "spec.template.connectors[1]", "Duplicate value"),
    Bad("a connector with capitals", _template(connectors=[{"name": "C"}]), "spec.template.connectors[0].name", "write lower-case letters"),
    Bad("more connectors than may be", _template(connectors=[{"name": f"c{number}"} for number in range(17)]), "spec.template.connectors", "must have at most 16 items"),
    Bad("more warm than may be", {"minWarm": 3, "maxSize": 2}, "spec.maxSize", "write a maxSize that is at least minWarm"),
    Bad("fewer warm than none", {"minWarm": -1}, "spec.minWarm", "should be greater than or equal to 0"),
    Bad("an unknown strategy", {"updateStrategy": {"type": "RollingUpdate"}}, "spec.updateStrategy.type", 'supported values: "Recreate", "OnClaim"'),
    Bad("an unknown end", {"deletionPolicy": "Retain"}, "spec.deletionPolicy", 'supported values: "Orphan", "Delete"'),
    Bad("a refill that never comes", {"refill": {"delay": "11m"}}, "spec.refill.delay", "write a delay of at most 10m"),
    Bad("a delay that is none", {"refill": {"delay": "soon"}}, "spec.refill.delay", "write a duration in hours, minutes and seconds"),
    Bad("a rate of nothing", {"refill": {"rate": 0}}, "spec.refill.rate", "should be greater than or equal to 1"),
    Bad("a class with a space", {"refill": {"priorityClassName": "a b"}}, "spec.refill.priorityClassName", "write the object's name"),
    Bad("pods that are always too old", {"maxIdleTime": "59s"}, "spec.maxIdleTime", "write a maxIdleTime of at least 1m"),
    Bad("two spreads over one label", _template(topologySpreadConstraints=[{"topologyKey": "zone"}] * 2), "spec.template.topologySpreadConstraints[1]", "Duplicate value"),
    Bad("a spread over no label", _template(topologySpreadConstraints=[{"topologyKey": "a b"}]), "spec.template.topologySpreadConstraints[0].topologyKey", "write a key such as app"),
    Bad("a spread that allows nothing", _template(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 0}]), "spec.template.topologySpreadConstraints[0].maxSkew", "should be greater than or equal to 1"),
    Bad("a name that is too long", {}, "", "at most 57 lower-case", name="a" * 58),
    Bad("a name with a dot", {}, "", "at most 57 lower-case", name="a.b"),
)

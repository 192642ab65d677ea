"""Connectors that the API server must refuse, one broken rule each."""

# A table reads best with a row to a line, however long.
# ruff: noqa: E501
# fmt: off

from tests.cluster.rows import Bad, Body

ACCOUNT: Body = {"name": "main", "host": "acme.snowflakecomputing.com", "account": "ACME", "warehouse": "WH"}
BROKER: Body = {"name": "main", "service": {"name": "rabbit", "port": 5671}}
KEY_PAIR: Body = {"secretName": "snow", "keyPair": {"user": "AGENTS"}}
PASSWORD: Body = {"secretName": "rabbit", "password": {"user": "agents"}}
HOST = "write a name of the outside such as db.example.com"
TABLE = "write database, schema and name, such as SALES.PUBLIC.ORDERS"
ROUTINE = "write the whole name, such as SALES.PUBLIC.MARGIN, or one name of Snowflake's own"
QUEUE = "write a name, with * at the end of one of its parts"
SOME_METHOD = "write exactly one of keyPair, password, oauthClientCredentials, programmaticAccessToken, workloadIdentity"
SECRET = "write secretName, the Secret that holds what the method needs"
HELD = "a sidecar holds it in memory as a whole: write at most 32Mi"
LEASE = "a broker ends channels that hold a message for long: write at most 25m"


def _snow(**fields: object) -> Body:
    return {"snowflake": {"endpoints": [ACCOUNT], "auth": KEY_PAIR, "database": "SALES", **fields}}


def _mq(**fields: object) -> Body:
    return {"rabbitmq": {"endpoints": [BROKER], "auth": PASSWORD, **fields}}


def _plugin(**fields: object) -> Body:
    return {"plugin": {"kind": "echo", "endpoints": [{"name": "main", "host": "api.example.com", "port": 443}], **fields}}


def _endpoint(**fields: object) -> Body:
    return _mq(endpoints=[{"name": "main", **fields}])


def _auth(**fields: object) -> Body:
    return _snow(auth=fields)


def _oauth(url: str) -> Body:
    return _auth(secretName="s", oauthClientCredentials={"clientId": "x", "tokenUrl": url})


def _may(**fields: object) -> Body:
    return _snow(permissions=fields)


def _queue(pattern: str, *verbs: str) -> Body:
    return _mq(permissions={"queues": [{"pattern": pattern, "verbs": list(verbs)}]})


WHOLE = (
    Bad("no backend", {}, "spec", "write exactly one of snowflake, rabbitmq and plugin"),
    Bad("two backends", {**_snow(), **_mq()}, "spec", "write exactly one of snowflake, rabbitmq and plugin"),
    Bad("no selector", _mq(), "spec.agentSelector", "Required value", without="agentSelector"),
    Bad("name with a dot", _mq(), "Connector", "tools and labels carry the connector's name", name="a.b"),
    Bad("name with an underscore", _mq(), "", "lower case", name="a_b"),
    Bad("name too long", _mq(), "Connector", "with at most 40 lower-case letters, digits and -", name="a" * 41),
    Bad("selector with a bad key", {**_mq(), "agentSelector": {"matchLabels": {"a b": "x"}}}, "spec.agentSelector.matchLabels", "write keys such as app or example.com/team"),
    Bad("plugin of a kind that we have", _plugin(kind="snowflake"), "spec.plugin.kind", "snowflake and rabbitmq stand in place of plugin"),
    Bad("plugin of a kind in capitals", _plugin(kind="Echo"), "spec.plugin.kind", "write the name of the package's entry point"),
    Bad("plugin whose host has no port", _plugin(endpoints=[{"name": "x", "host": "api.example.com"}]), "spec.plugin.endpoints", "write port beside host"),
    Bad("plugin with settings that are a list", _plugin(settings=[1]), "spec.plugin.settings", "must be of type object"),
    Bad("plugin with a method of Snowflake's alone", _plugin(auth={"workloadIdentity": {"user": "x"}}), "spec.plugin.auth.workloadIdentity", "unknown field"),
)

ENDPOINTS = (
    Bad("no endpoint", _mq(endpoints=[]), "spec.rabbitmq.endpoints", "should have at least 1 items"),
    Bad("too many endpoints", _mq(endpoints=[{**BROKER, "name": f"e{n}"} for n in range(17)]), "spec.rabbitmq.endpoints", "must have at most 16 items"),
    Bad("two endpoints of one name", _mq(endpoints=[BROKER, BROKER]), "spec.rabbitmq.endpoints[1]", "Duplicate value"),
    Bad("endpoint that is nowhere", _endpoint(), "spec.rabbitmq.endpoints[0]", "write either a host, for a backend outside the cluster, or a service, for one inside"),
    Bad("endpoint that is in two places", _endpoint(host="mq.example.com", service={"name": "mq", "port": 1}), "spec.rabbitmq.endpoints[0]", "write either a host"),
    Bad("host that is an address", _endpoint(host="203.0.113.7"), "spec.rabbitmq.endpoints[0].host", HOST),
    Bad("host with a scheme", _endpoint(host="https://mq.example.com"), "spec.rabbitmq.endpoints[0].host", HOST),
    Bad("host with a port", _endpoint(host="mq.example.com:5671"), "spec.rabbitmq.endpoints[0].host", HOST),
    Bad("host that is a wildcard", _endpoint(host="*.example.com"), "spec.rabbitmq.endpoints[0].host", HOST),
    Bad("host of the cluster", _endpoint(host="mq.data.svc"), "spec.rabbitmq.endpoints[0].host", "what is inside the cluster is a service: {name, namespace, port}"),
    Bad("short host", _endpoint(host="localhost"), "spec.rabbitmq.endpoints[0].host", HOST),
    Bad("service with a port twice", _endpoint(service={"name": "mq", "port": 1}, port=2), "spec.rabbitmq.endpoints[0].port", "a service says its port: write service.port alone"),
    Bad("service without a port", _endpoint(service={"name": "mq"}), "spec.rabbitmq.endpoints[0].service.port", "Required value"),
    Bad("plain text to the outside", _endpoint(host="mq.example.com", tls=False), "spec.rabbitmq.endpoints[0].tls", "what leaves the cluster is encrypted"),
    Bad("weight of zero", _endpoint(service={"name": "mq", "port": 1}, weight=0), "spec.rabbitmq.endpoints[0].weight", "should be greater than or equal to 1"),
    Bad("priority below zero", _endpoint(service={"name": "mq", "port": 1}, priority=-1), "spec.rabbitmq.endpoints[0].priority", "should be greater than or equal to 0"),
    Bad("account that is an address", _snow(endpoints=[{**ACCOUNT, "account": "https://acme"}]), "spec.snowflake.endpoints[0].account", "write an account identifier, such as ACME-PROD"),
    Bad("no warehouse", _snow(endpoints=[{key: value for key, value in ACCOUNT.items() if key != "warehouse"}]), "spec.snowflake.endpoints[0].warehouse", "Required value"),
    Bad("storage host with a path", _snow(storageHosts=["s3.example.com/bucket"]), "spec.snowflake.storageHosts[0]", "write the name alone, without scheme and path"),
)

AUTH = (
    Bad("no way to log in", _snow(auth={"secretName": "s"}), "spec.snowflake.auth", SOME_METHOD),
    Bad("two ways to log in", _auth(secretName="s", keyPair={"user": "U"}, password={"user": "U"}), "spec.snowflake.auth", SOME_METHOD),
    Bad("method without its Secret", _auth(keyPair={"user": "U"}), "spec.snowflake.auth", SECRET),
    Bad("workload identity with a Secret", _auth(secretName="s", workloadIdentity={"user": "U"}), "spec.snowflake.auth", "which workloadIdentity does without"),
    Bad("an authority without a Secret", _auth(workloadIdentity={"user": "U"}, authority="ca.crt"), "spec.snowflake.auth.authority", "leave authority out"),
    Bad("Secret of the operator", _auth(secretName="ringfence-authority", keyPair={"user": "U"}), "spec.snowflake.auth.secretName", "Secrets whose names start with ringfence- belong to the operator"),
    Bad("key pair without a user", _auth(secretName="s", keyPair={}), "spec.snowflake.auth.keyPair.user", "Required value"),
    Bad("key of a Secret that is none", _auth(secretName="s", keyPair={"user": "U", "privateKey": "a/b"}), "spec.snowflake.auth.keyPair.privateKey", "write a key of the ConfigMap or Secret"),
    Bad("token from plain HTTP", _oauth("http://login.example.com/token"), "spec.snowflake.auth.oauthClientCredentials.tokenUrl", "https, a name, no port and no query"),
    Bad("token from an address", _oauth("https://203.0.113.7/token"), "spec.snowflake.auth.oauthClientCredentials.tokenUrl", "write the address of the token endpoint"),
    Bad("token from another port", _oauth("https://login.example.com:8443/token"), "spec.snowflake.auth.oauthClientCredentials.tokenUrl", "no port and no query"),
    Bad("audience with spaces", _auth(workloadIdentity={"user": "U", "audience": "a b"}), "spec.snowflake.auth.workloadIdentity.audience", "write an audience such as snowflakecomputing.com"),
    Bad("RabbitMQ by key pair", _mq(auth={"secretName": "s", "keyPair": {"user": "U"}}), "spec.rabbitmq.auth.keyPair", "unknown field"),
    Bad("RabbitMQ without a password", _mq(auth={"secretName": "s"}), "spec.rabbitmq.auth", "write exactly one of password"),
)

PERMITTED = (
    Bad("unknown statement", _may(statements=["Grant"]), "spec.snowflake.permissions.statements[0]", 'supported values: "Select"'),
    Bad("table of two parts", _may(tables=["PUBLIC.ORDERS"]), "spec.snowflake.permissions.tables", TABLE),
    Bad("table by half a name", _may(tables=["SALES.PUBLIC.ORD*"]), "spec.snowflake.permissions.tables", TABLE),
    Bad("writable table of one part", _may(writableTables=["ORDERS"]), "spec.snowflake.permissions.writableTables", TABLE),
    Bad("all functions", _may(functions=["*"]), "spec.snowflake.permissions.functions", ROUTINE),
    Bad("function of the system", _may(functions=["SYSTEM$ABORT_SESSION"]), "spec.snowflake.permissions.functions", "SYSTEM$ functions cannot be permitted"),
    Bad("procedure of two parts", _may(procedures=["PUBLIC.P"]), "spec.snowflake.permissions.procedures", ROUTINE),
    Bad("stage of one part", _may(stages=["S"]), "spec.snowflake.permissions.stages", TABLE),
    Bad("database with a dot", _snow(database="A.B"), "spec.snowflake.database", "write an unquoted identifier, such as ANALYTICS"),
    Bad("no database", {"snowflake": {"endpoints": [ACCOUNT], "auth": KEY_PAIR}}, "spec.snowflake.database", "Required value"),
    Bad("queue with a * inside", _queue("or*ders", "Receive"), "spec.rabbitmq.permissions.queues[0].pattern", QUEUE),
    Bad("queue with a space", _queue("or ders", "Receive"), "spec.rabbitmq.permissions.queues[0].pattern", QUEUE),
    Bad("queue and nothing to do", _queue("orders"), "spec.rabbitmq.permissions.queues[0].verbs", "should have at least 1 items"),
    Bad("unknown verb", _queue("orders", "Purge"), "spec.rabbitmq.permissions.queues[0].verbs[0]", 'supported values: "Publish"'),
    Bad("exchange to receive from", _mq(permissions={"exchanges": [{"pattern": "x", "verbs": ["Receive"]}]}), "spec.rabbitmq.permissions.exchanges[0].verbs[0]", 'supported values: "Publish", "Declare", "Bind"'),
    Bad("queue twice", _mq(permissions={"queues": [{"pattern": "q", "verbs": ["Receive"]}, {"pattern": "q", "verbs": ["Drop"]}]}), "spec.rabbitmq.permissions.queues[1]", "Duplicate value"),
)

LIMITS = (
    Bad("no rows", _snow(limits={"rows": 0}), "spec.snowflake.limits.rows", "should be greater than or equal to 1"),
    Bad("no bytes", _snow(limits={"bytes": "0"}), "spec.snowflake.limits.bytes", "write a quantity above zero"),
    Bad("answer beyond all memory", _snow(limits={"bytes": "33Mi"}), "spec.snowflake.limits.bytes", HELD),
    Bad("message beyond all memory", _mq(limits={"messageSize": "1Gi"}), "spec.rabbitmq.limits.messageSize", HELD),
    Bad("statement without an end", _snow(limits={"statementTimeout": "0s"}), "spec.snowflake.limits.statementTimeout", "write a duration above zero"),
    Bad("no call at a time", _snow(limits={"concurrency": 0}), "spec.snowflake.limits.concurrency", "should be greater than or equal to 1"),
    Bad("lease for too long", _mq(limits={"lease": "1h", "maxLease": "1h"}), "spec.rabbitmq.limits.lease", LEASE),
    Bad("lease beyond the longest", _mq(limits={"lease": "20m"}), "spec.rabbitmq.limits.maxLease", "write a maxLease that is at least lease"),
    Bad("prefetch of zero", _mq(limits={"prefetch": 0}), "spec.rabbitmq.limits.prefetch", "should be greater than or equal to 1"),
    Bad("cache for a while", _snow(cache={"ttl": "long"}), "spec.snowflake.cache.ttl", "write a duration in hours, minutes and seconds"),
    Bad("health check without a pause", _mq(healthCheck={"interval": "0s"}), "spec.rabbitmq.healthCheck.interval", "write a duration above zero"),
    Bad("cache of RabbitMQ", _mq(cache={"ttl": "1m"}), "spec.rabbitmq.cache", "unknown field"),
)

BAD_CONNECTORS = (*WHOLE, *ENDPOINTS, *AUTH, *PERMITTED, *LIMITS)

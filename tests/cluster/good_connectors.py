"""Connectors that the API server must accept, and the defaults that it must add."""

# A table reads best with a row to a line, however long.
# ruff: noqa: E501
# fmt: off

from tests.cluster.bad_connectors import ACCOUNT, BROKER, KEY_PAIR, PASSWORD
from tests.cluster.rows import Body, Good

CACHE: Body = {"ttl": "0s", "staleWhileRevalidate": "0s", "staleIfError": "0s", "maxEntrySize": "1Mi"}
HEALTH: Body = {"interval": "10s", "timeout": "5s"}
SNOWFLAKE_LIMITS: Body = {"timeout": "1m", "concurrency": 8, "rows": 10000, "bytes": "10Mi", "statementTimeout": "1m", "batch": 20, "sampleRows": 10000, "openResults": 8, "openResultTimeout": "5m"}
RABBITMQ_LIMITS: Body = {"timeout": "1m", "concurrency": 32, "prefetch": 32, "messageSize": "1Mi", "lease": "1m", "maxLease": "10m", "leases": 256, "batch": 100, "subscriptions": 16}
SNOWFLAKE: Body = {"schema": "PUBLIC", "warehouseUsage": False, "limits": SNOWFLAKE_LIMITS, "cache": CACHE, "healthCheck": HEALTH}
RABBITMQ: Body = {"limits": RABBITMQ_LIMITS, "healthCheck": HEALTH}
USUAL: Body = {"tls": True, "priority": 0, "weight": 1}
LEAST: Body = {"endpoints": [{**ACCOUNT, **USUAL}], "auth": {"secretName": "snow", "keyPair": {"user": "AGENTS", "privateKey": "k"}}, "database": "SALES"}


def _snow(**fields: object) -> Body:
    return {"snowflake": {**LEAST, **fields}}


def _mq(**fields: object) -> Body:
    return {"rabbitmq": {"endpoints": [{**BROKER, **USUAL, "virtualHost": "/"}], "auth": {"secretName": "r", "password": {"user": "u", "password": "p"}}, **fields}}


GOOD_CONNECTORS = (
    Good("the least of Snowflake", _snow(), {"snowflake": SNOWFLAKE}),
    Good("Snowflake by a password", _snow(auth=PASSWORD), {"snowflake": {**SNOWFLAKE, "auth": {"password": {"password": "password"}}}}),
    Good("Snowflake by a key pair", _snow(auth=KEY_PAIR), {"snowflake": {**SNOWFLAKE, "auth": {"keyPair": {"privateKey": "private-key.p8"}}}}),
    Good("Snowflake by a token", _snow(auth={"secretName": "s", "programmaticAccessToken": {"user": "U"}}), {"snowflake": {**SNOWFLAKE, "auth": {"programmaticAccessToken": {"token": "token"}}}}),
    Good("Snowflake by a client", _snow(auth={"secretName": "s", "oauthClientCredentials": {"clientId": "id", "tokenUrl": "https://login.example.com/oauth2/v1/token", "scopes": ["session:role:READER"]}}), {"snowflake": {**SNOWFLAKE, "auth": {"oauthClientCredentials": {"clientSecret": "client-secret"}}}}),
    Good("Snowflake by the pod's own identity", _snow(auth={"workloadIdentity": {"user": "agents@example.com"}}), {"snowflake": {**SNOWFLAKE, "auth": {"workloadIdentity": {"audience": "snowflakecomputing.com"}}}}),
    Good("Snowflake with everything", _snow(
        storageHosts=["sfc-prod.s3.us-west-2.amazonaws.com", "*.blob.core.windows.net"], role="READER", schema="S", warehouseUsage=True,
        permissions={"statements": ["Select", "Insert", "CreateTable", "Explain"], "tables": ["SALES.*.*", '"My Db".PUBLIC.T$1'], "writableTables": ["SALES.SCRATCH.*"], "functions": ["SALES.PUBLIC.MARGIN", "CURRENT_USER"], "procedures": ["SALES.PUBLIC.REFRESH"], "stages": ["SALES.PUBLIC.FILES"]},
        cache={"ttl": "5m", "staleIfError": "1h"},
    ), {"snowflake": {**SNOWFLAKE, "cache": CACHE}}),
    Good("as many tables as there may be", _snow(permissions={"tables": [f"D{n}.{'S' * 250}.{'T' * 250}" for n in range(256)]}), {"snowflake": SNOWFLAKE}),
    Good("the least of RabbitMQ", _mq(), {"rabbitmq": RABBITMQ}),
    Good("a broker outside, and one inside", _mq(endpoints=[{**USUAL, "name": "east", "host": "mq.example.com", "virtualHost": "agents"}, {**BROKER, **USUAL, "tls": False, "priority": 1, "virtualHost": "/"}]), {"rabbitmq": RABBITMQ}),
    Good("queues and exchanges", _mq(permissions={"exchanges": [{"pattern": "orders", "verbs": ["Publish", "Bind"]}], "queues": [{"pattern": "orders.*", "verbs": ["Receive", "DeadLetters", "Replay", "Drop"]}, {"pattern": "*", "verbs": ["Inspect"]}]}), {"rabbitmq": RABBITMQ}),
    Good("an authority of one's own", _mq(auth={"secretName": "r", "password": {"user": "u", "password": "p"}, "authority": "ca.crt"}), {"rabbitmq": RABBITMQ}),
    Good("a plugin with any settings", {"plugin": {"kind": "echo", "settings": {"deep": {"er": [1, None, {"x": True}]}}, "endpoints": [{**USUAL, "name": "main", "host": "api.example.com", "port": 8443, "settings": {"zone": "a"}}]}}, {"plugin": {"limits": {"timeout": "1m", "concurrency": 8}, "cache": CACHE, "healthCheck": HEALTH}}),
    Good("a name as long as may be", _mq(), {"rabbitmq": RABBITMQ}, name="a" * 40),
)

"""What fakesnow lacks, said in SQL that it has."""

import re
from collections.abc import Sequence

_NOW = "DATE_TRUNC('hour', CURRENT_TIMESTAMP())"
_METERING = (
    f"(SELECT DATEADD('hour', -2, {_NOW}) AS START_TIME, DATEADD('hour', -1, {_NOW}) AS END_TIME, '{{warehouse}}' AS "
    "WAREHOUSE_NAME, 1.25::NUMBER(38,9) AS CREDITS_USED, 1.2::NUMBER(38,9) AS CREDITS_USED_COMPUTE, "
    "0.05::NUMBER(38,9) AS CREDITS_USED_CLOUD_SERVICES)"
)
_LOAD = (
    f"(SELECT DATEADD('hour', -2, {_NOW}) AS START_TIME, DATEADD('hour', -1, {_NOW}) AS END_TIME, '{{warehouse}}' AS "
    "WAREHOUSE_NAME, 0.5::NUMBER(38,9) AS AVG_RUNNING, 0.25::NUMBER(38,9) AS AVG_QUEUED_LOAD, 0::NUMBER(38,9) AS "
    "AVG_QUEUED_PROVISIONING, 0::NUMBER(38,9) AS AVG_BLOCKED)"
)
_VIEWS = {"WAREHOUSE_METERING_HISTORY": _METERING, "WAREHOUSE_LOAD_HISTORY": _LOAD}


_HISTORY = re.compile(r"\bTABLE\s*\(\s*INFORMATION_SCHEMA\.QUERY_HISTORY_BY_SESSION\s*\([^)]*\)\s*\)", re.IGNORECASE)


def rewrite(sql: str, *, role: str, warehouse: str, history: Sequence[tuple[str, int]] = ()) -> str:
    """Return SQL that fakesnow can run for what it cannot: the session's role and warehouse, the usage views.

    `history` has the session's queries by id, and what each has scanned.
    """
    ran = [f"SELECT '{query_id}' AS QUERY_ID, {size} AS BYTES_SCANNED" for query_id, size in history]
    none = "SELECT '' AS QUERY_ID, 0 AS BYTES_SCANNED WHERE 1 = 0"
    sql = _HISTORY.sub(f"({' UNION ALL '.join(ran or [none])})", sql)
    for name, value in (("ROLE", role), ("WAREHOUSE", warehouse)):
        sql = re.sub(rf"\bCURRENT_{name}\s*\(\s*\)", f"'{value.upper()}'", sql, flags=re.IGNORECASE)
    for name, select in _VIEWS.items():
        view = select.format(warehouse=warehouse.upper())
        sql = re.sub(rf"\bSNOWFLAKE\.ACCOUNT_USAGE\.{name}\b", view, sql, flags=re.IGNORECASE)
    return sql

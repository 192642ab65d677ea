"""A stand-in for Snowflake: fakesnow, and in front of it what it lacks. An ASGI application."""

import asyncio
import json
from dataclasses import asdict
from typing import Any

from tests.backends.snowflake.chunks import Chunks
from tests.backends.snowflake.exchange import App, Exchange, Message, Receive, Send
from tests.backends.snowflake.faults import Faults, Record, Statement
from tests.backends.snowflake.logins import Users, access_token, refuse
from tests.backends.snowflake.nulls import mend_nulls
from tests.backends.snowflake.rewrite import rewrite
from tests.backends.snowflake.sessions import MASTER_EXPIRED, Session, Sessions, refusal

VALIDITY = {"masterValidityInSeconds": 14_400, "validityInSeconds": 3_600}
AWAY = ("000606", "57P03", "No active warehouse selected in the current session.")
CANCELLED = ("000604", "57014", "SQL execution canceled")
TIMED_OUT = (
    "000630",
    "57014",
    "Statement reached its statement or warehouse timeout of {} second(s) and was canceled.",
)


class StandIn:
    """Snowflake's wire protocol. Tests steer it below `/control/`."""

    def __init__(self, inner: App) -> None:
        self._inner = inner
        self._sessions = Sessions()
        self._chunks = Chunks()
        self._faults = Faults()
        self._record = Record()
        self._users: Users = {}
        self._asked: dict[str, asyncio.Task[tuple[int, dict[str, Any]]]] = {}
        """Query ID → its answer, when there is one."""
        self._running: dict[str, asyncio.Event] = {}
        """Request ID → set when the statement is to end."""
        self._answers: dict[tuple[str, str], dict[str, Any]] = {}
        """Statement and binds → what was answered, if that is kept."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            return
        exchange = await Exchange.read(scope, receive, send)
        if exchange.path.startswith("/control/"):
            await self._control(exchange)
            return
        self._record.paths.append(exchange.path)
        if not await self._is_served(exchange):
            return
        await self._route(exchange)

    async def _is_served(self, exchange: Exchange) -> bool:
        await asyncio.sleep(self._faults.latency)
        match self._faults.outage:
            case "unavailable":
                await exchange.answer_bytes(b"", kind="text/plain", status=503)
            case "hang":
                await exchange.gone()
            case "cut":
                raise ConnectionAbortedError("as the test wants")
            case _:
                return True
        return False

    async def _route(self, exchange: Exchange) -> None:
        match exchange.path:
            case "/session/v1/login-request":
                await self._log_in(exchange)
            case "/session/token-request":
                await self._renew(exchange)
            case "/session" | "/session/heartbeat":
                await self._session(exchange)
            case "/queries/v1/query-request":
                await self._query(exchange)
            case path if path.startswith("/queries/01ab-") and path.endswith("/result"):
                await self._answer_when_done(exchange, path.split("/")[2])
            case "/queries/v1/abort-request":
                await self._abort(exchange)
            case "/oauth/token-request":
                await self._grant(exchange)
            case path if path.startswith("/chunks/"):
                await self._chunk(exchange)
            case _:
                await exchange.answer({"success": True, "data": None})

    async def _chunk(self, exchange: Exchange) -> None:
        await asyncio.sleep(self._faults.chunk_latency)
        body = self._chunks.get(exchange.path)
        await exchange.answer_bytes(body or b"", kind="binary/octet-stream", status=200 if body else 404)

    async def _log_in(self, exchange: Exchange) -> None:
        data = exchange.json()["data"]
        self._record.logins.append(data)
        if refused := refuse(data, self._users):
            await exchange.refuse(refused[0], refused[1], data={})
            return
        _, answer = await exchange.ask(self._inner)
        query = dict(pair.split("=", 1) for pair in exchange.scope["query_string"].decode().split("&") if "=" in pair)
        session = Session(
            inner=answer["data"]["token"],
            user=str(data.get("LOGIN_NAME")),
            role=query.get("roleName", "PUBLIC"),
            warehouse=query.get("warehouse", ""),
        )
        self._sessions.add(session)
        said = {"token": session.token, "masterToken": session.master, "sessionId": session.number, **VALIDITY}
        answer["data"].update(said)
        asked = data.get("SESSION_PARAMETERS", {})
        answer["data"]["parameters"] += [
            {"name": "CLIENT_TELEMETRY_ENABLED", "value": asked.get("CLIENT_TELEMETRY_ENABLED", "true") == "true"},
            {"name": "TIMEZONE", "value": asked.get("TIMEZONE", "America/Los_Angeles")},
        ]
        await exchange.answer(answer)

    async def _renew(self, exchange: Exchange) -> None:
        session = self._sessions.of_master(exchange.token)
        if session is None or session.master_expired or session.gone:
            await exchange.refuse(*MASTER_EXPIRED)
            return
        session.token, session.token_expired = Session("", "", "", "").token, False
        validity = {"validityInSecondsST": 3_600, "validityInSecondsMT": 14_400}
        said = {"sessionToken": session.token, "masterToken": session.master, "sessionId": session.number, **validity}
        await exchange.answer({"data": said, "success": True, "code": None, "message": None})

    async def _session(self, exchange: Exchange) -> None:
        session = self._sessions.of_token(exchange.token)
        if refused := refusal(session):
            await exchange.refuse(*refused)
            return
        assert session is not None
        _, answer = await exchange.ask(self._inner, token=session.inner)
        if b"delete=true" in exchange.scope["query_string"]:
            self._sessions.remove(session)
        await exchange.answer(answer)

    async def _grant(self, exchange: Exchange) -> None:
        token = access_token(exchange.text.decode(), exchange.header("authorization"), self._users)
        if token is None:
            await exchange.answer({"error": "invalid_client"}, status=401)
        else:
            await exchange.answer({"access_token": token, "token_type": "Bearer", "expires_in": 600})

    async def _abort(self, exchange: Exchange) -> None:
        request_id = str(exchange.json().get("requestId"))
        self._record.aborts.append(request_id)
        if running := self._running.get(request_id):
            running.set()
        await exchange.answer({"data": None, "success": True, "code": None, "message": None})

    async def _query(self, exchange: Exchange) -> None:
        session = self._sessions.of_token(exchange.token)
        if refused := refusal(session):
            await exchange.refuse(*refused)
            return
        assert session is not None
        query = dict(pair.split("=", 1) for pair in exchange.scope["query_string"].decode().split("&"))
        asked = exchange.json()
        said = (asked["sqlText"], asked.get("parameters") or {}, asked.get("bindings"))
        statement = Statement(*said, request_id=query["requestId"], session=session.number)
        self._record.statements.append(statement)
        query_id = f"01ab-{statement.request_id}"
        self._asked[query_id] = asyncio.create_task(self._ask(exchange, session, statement, query_id))
        await self._answer_when_done(exchange, query_id)

    async def _answer_when_done(self, exchange: Exchange, query_id: str) -> None:
        """Answer, or say after a while that it is still on its way: the client asks again, then."""
        task = self._asked.get(query_id)
        if task is None:
            await exchange.refuse("000605", "Identified SQL statement is not currently executing.")
            return
        done, _ = await asyncio.wait({task}, timeout=self._faults.patience)
        if done:
            del self._asked[query_id]
            status, answer = task.result()
            await exchange.answer(answer, status=status)
        else:
            where = {"getResultUrl": f"/queries/{query_id}/result", "queryId": query_id, "queryAbortsAfterSecs": 300}
            await exchange.answer({"data": where, "code": "333334", "message": None, "success": True})

    async def _ask(
        self, exchange: Exchange, session: Session, statement: Statement, query_id: str
    ) -> tuple[int, dict[str, Any]]:
        if error := self._away(session) or await self._wait(statement):
            code, state, message = error
            statement.ended = {CANCELLED[0]: "cancelled", TIMED_OUT[0]: "timeout"}.get(code, "failed")
            data = {"errorCode": code, "sqlState": state, "queryId": query_id, "internalError": False}
            return 200, {"data": data, "code": code, "message": message, "success": False}
        known = statement.sql, json.dumps(statement.bindings)
        if self._faults.repeats and known in self._answers:
            statement.ended, statement.query_id = "ok", query_id
            found = self._answers[known]
            return 200, {**found, "data": {**found["data"], "queryId": query_id}}
        ran = [each for each in self._record.statements if each.session == session.number and each.query_id]
        history = [(each.query_id, each.scanned) for each in ran[-100:]]
        sql = rewrite(statement.sql, role=session.role, warehouse=session.warehouse, history=history)
        content = {**exchange.json(), "sqlText": sql}
        status, answer = await exchange.ask(self._inner, token=session.inner, content=content)
        statement.ended = "ok" if answer["success"] else "failed"
        statement.query_id = str((answer.get("data") or {}).get("queryId") or "")
        if answer["success"]:
            mend_nulls(answer["data"])
            base = f"{exchange.scope['scheme']}://{exchange.header('host')}"
            self._chunks.cut(answer["data"], base, self._faults.first_chunk, self._faults.largest_chunk)
            if self._faults.repeats:
                self._answers[known] = answer
        return status, answer

    def _away(self, session: Session) -> tuple[str, str, str] | None:
        return AWAY if session.warehouse.upper() in self._faults.away else None

    async def _wait(self, statement: Statement) -> tuple[str, str, str] | None:
        """Let a slow statement take its time. Returns code, SQLSTATE and message if it fails before it runs."""
        if error := self._faults.error(statement.sql):
            return error[0], error[1], error[2]
        seconds = self._faults.seconds(statement.sql)
        if not seconds:
            return None
        allowed = float(statement.parameters.get("STATEMENT_TIMEOUT_IN_SECONDS", 172_800))
        cancelled = self._running[statement.request_id] = asyncio.Event()
        try:
            await asyncio.wait_for(cancelled.wait(), min(seconds, allowed))
        except TimeoutError:
            return None if seconds <= allowed else (TIMED_OUT[0], TIMED_OUT[1], TIMED_OUT[2].format(int(allowed)))
        finally:
            del self._running[statement.request_id]
        return CANCELLED

    async def _control(self, exchange: Exchange) -> None:
        answer: dict[str, Any] = {}
        match exchange.path:
            case "/control/faults":
                self._faults = Faults(**exchange.json())
            case "/control/users":
                self._users = exchange.json()
            case "/control/expire":
                answer = {"sessions": self._sessions.expire(exchange.json()["what"])}
            case "/control/forget":
                self._record = Record()
            case "/control/chunks/drop":
                self._chunks.drop()
            case _:
                answer = {**asdict(self._record), "sessions": len(self._sessions)}
        await exchange.answer(answer)

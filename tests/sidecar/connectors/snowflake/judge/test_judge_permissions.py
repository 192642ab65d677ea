import msgspec
import pytest

from ringfence_sidecar.connectors.snowflake.judge import Defaults, Permissions
from ringfence_sidecar.connectors.snowflake.judge.names import Pattern, canonical, split_name


def test_permissions_are_read_from_what_the_operator_sends() -> None:
    sent = {"statements": ["Select"], "tables": ["db.s.t"], "writableTables": [], "functions": ["DB.S.F"]}

    permissions = msgspec.convert(sent, Permissions)

    assert permissions.readable == (Pattern(("DB", "S", "T")),)
    assert permissions.writable == ()
    assert permissions.function_names == {"DB.S.F"}


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"statements": ["select"]}, "choose from Select"),
        ({"statements": ["Grant"]}, "choose from Select"),
        ({"tables": ["T"]}, "DB.SCHEMA.NAME"),
        ({"tables": ["DB.S.T.X"]}, "DB.SCHEMA.NAME"),
        ({"tables": ["DB.S.T*"]}, "in double quotes"),
        ({"tables": ["DB.S."]}, "not a name"),
        ({"tables": ['DB.S."T']}, "not a name"),
        ({"tables": ['DB.S."T"X']}, "separated by dots"),
        ({"writableTables": ["*"]}, "DB.SCHEMA.NAME"),
        ({"stages": ["@x"]}, "in double quotes"),
        ({"functions": ["DB.S.*"]}, "without *"),
        ({"functions": ["S.F"]}, "DB.SCHEMA.NAME"),
        ({"functions": ["SYSTEM$WAIT"]}, "cannot be permitted"),
        ({"functions": ["system$wait"]}, "cannot be permitted"),
        ({"functions": ["RESULT_SCAN"]}, "cannot be permitted"),
        ({"functions": ["DB.INFORMATION_SCHEMA.QUERY_HISTORY"]}, "cannot be permitted"),
        ({"procedures": ["*"]}, "without *"),
        ({"procedures": ["P"]}, "DB.SCHEMA.NAME"),
        ({"everything": True}, "unknown field"),
    ],
)
def test_permission_that_opens_nothing_is_told_with_what_to_write(sent: dict[str, object], told: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refusal:
        msgspec.convert(sent, Permissions)

    assert told in str(refusal.value)


def test_nothing_is_permitted_by_nothing() -> None:
    permissions = msgspec.convert({}, Permissions)

    assert permissions == Permissions()
    assert permissions.writable == ()


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("DB.S.T", ("DB", "S", "T"), True),
        ("db.s.t", ("DB", "S", "T"), True),
        ('"db".s.t', ("DB", "S", "T"), False),
        ('"db".s.t', ("db", "S", "T"), True),
        ("DB.S.*", ("DB", "S", "anything"), True),
        ("DB.*.T", ("DB", "X", "T"), True),
        ("*.S.T", ("X", "S", "T"), True),
        ("DB.S.T", ("DB", "S", "T2"), False),
        ("DB.S.T", ("DB", "S2", "T"), False),
        ("DB.*.*", ("DB", "INFORMATION_SCHEMA", "TABLES"), False),
        ("DB.INFORMATION_SCHEMA.*", ("DB", "INFORMATION_SCHEMA", "TABLES"), True),
        ("*.*.*", ("SNOWFLAKE", "ACCOUNT_USAGE", "LOGIN_HISTORY"), False),
        ("SNOWFLAKE.ACCOUNT_USAGE.*", ("SNOWFLAKE", "ACCOUNT_USAGE", "LOGIN_HISTORY"), True),
    ],
)
def test_pattern_covers_whole_parts(pattern: str, name: tuple[str, str, str], covered: bool) -> None:
    assert Pattern.parse(pattern).covers(name) is covered


def test_no_two_names_look_alike() -> None:
    assert canonical("DB", "S", "T") == "DB.S.T"
    assert canonical("DB.S", "T", "X") == '"DB.S".T.X'
    assert canonical("DB", "S", 'a"b') == 'DB.S."a""b"'
    assert split_name(canonical("DB.S", 'a"b', "t")) == ("DB.S", 'a"b', "t")


def test_defaults_are_one_name_each() -> None:
    with pytest.raises(ValueError, match="one name"):
        Defaults("DB.S", "S")
    with pytest.raises(ValueError, match="one name"):
        Defaults("DB", "*")

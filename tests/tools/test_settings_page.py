import re
from pathlib import Path

from ringfence_operator.settings import Settings, variables

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/settings.md"
ROW = re.compile(r"^\| `(RINGFENCE_OPERATOR_\w+)` \| (.*?) \|", re.MULTILINE)


def test_page_names_every_setting_and_no_other() -> None:
    named = [name for name, _ in ROW.findall(PAGE.read_text())]

    assert sorted(named) == sorted(variables())


def test_default_that_the_page_gives_is_the_one_that_holds() -> None:
    given = {name: text.strip("`") for name, text in ROW.findall(PAGE.read_text()) if text.startswith("`")}

    as_given = Settings.from_env(given).model_dump(exclude={"identity"})

    assert as_given == Settings.from_env({}).model_dump(exclude={"identity"})

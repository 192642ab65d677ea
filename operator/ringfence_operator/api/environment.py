"""Environment variables and files that an agent is given."""

from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import DataKey, MountPath, ObjectName, SecretName
from ringfence_operator.api.rule import ListMap, Rule

VariableName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        "self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",
        "write a variable name such as LOG_LEVEL: letters, digits, -, _ and ., no digit first",
    ),
]


class SecretKeyRef(Model):
    """One key of a Secret in the agent's namespace."""

    name: SecretName
    """Name of the Secret."""

    key: DataKey
    """Key in the Secret."""


class ConfigMapKeyRef(Model):
    """One key of a ConfigMap in the agent's namespace."""

    name: ObjectName
    """Name of the ConfigMap."""

    key: DataKey
    """Key in the ConfigMap."""


class ValueSource(Model):
    """Where a variable's value comes from: exactly one source."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.secretKeyRef) != has(self.configMapKeyRef)", "name one source: secretKeyRef or configMapKeyRef"),
    )

    secret_key_ref: SecretKeyRef | None = None
    """Takes the value from a Secret."""

    config_map_key_ref: ConfigMapKeyRef | None = None
    """Takes the value from a ConfigMap."""


class EnvVar(Model):
    """One environment variable."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("!(has(self.value) && has(self.valueFrom))", "give either value or valueFrom, not both"),
    )

    name: VariableName
    """Name of the variable."""

    value: Annotated[str, Field(max_length=32768)] | None = None
    """The value itself; without it and valueFrom, the variable is empty."""

    value_from: ValueSource | None = None
    """Takes the value from a Secret or a ConfigMap."""


class SecretRef(Model):
    """A Secret in the agent's namespace."""

    name: SecretName
    """Name of the Secret."""


class ConfigMapRef(Model):
    """A ConfigMap in the agent's namespace."""

    name: ObjectName
    """Name of the ConfigMap."""


class EnvFrom(Model):
    """Every key of a ConfigMap or a Secret as a variable."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.configMapRef) != has(self.secretRef)", "name one source: configMapRef or secretRef"),
    )

    prefix: Annotated[
        str,
        Field(max_length=64),
        Rule(
            "self == '' || self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",
            "write a prefix such as APP_: letters, digits, -, _ and ., no digit first",
        ),
    ] = ""
    """Put in front of every key."""

    config_map_ref: ConfigMapRef | None = None
    """The ConfigMap whose keys become variables."""

    secret_ref: SecretRef | None = None
    """The Secret whose keys become variables."""


class ConfigMapFiles(Model):
    """A ConfigMap whose keys become files."""

    name: ObjectName
    """Name of the ConfigMap."""

    key: DataKey | None = None
    """The one key that becomes the file; without it, every key becomes a file in the directory at path."""


class File(Model):
    """A file, or a directory of files, for the agent to read; it can write them in a pod of a pool alone."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.content) != has(self.configMap)", "give either content or configMap"),
    )

    path: MountPath
    """Where it is in the agent's container."""

    content: Annotated[str, Field(max_length=8192)] | None = None
    """The text itself."""

    config_map: ConfigMapFiles | None = None
    """The ConfigMap that holds it."""

    @property
    def is_directory(self) -> bool:
        """Whether the whole ConfigMap is mounted at `path`."""
        return self.config_map is not None and self.config_map.key is None


Files = Annotated[
    Items[File],
    Field(max_length=16),
    ListMap(("path",)),
    Rule(
        "self.map(f, has(f.content) ? size(bytes(f.content)) : 0).sum() <= 131072",
        "inline content may be 128 KiB in all: move the larger files to a ConfigMap",
    ),
    Rule(
        "self.all(f, !self.exists(g, f.path.startsWith(g.path + '/')))",
        "one path lies inside another, which is read-only: write paths that are apart",
    ),
]

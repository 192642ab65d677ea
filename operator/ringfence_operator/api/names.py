"""Names and paths that fields are made of, with the rules that hold wherever they are used."""

from typing import Annotated

from pydantic import Field

from ringfence_operator.api.rule import Rule

DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

Label = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Rule(f"self.matches('{DNS_LABEL}')", "write lower-case letters, digits and -, such as my-name"),
]
"""An RFC 1123 label."""

ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(f"self.matches('{DNS_SUBDOMAIN}')", "write the object's name: lower-case letters, digits, - and ."),
]
"""An RFC 1123 subdomain: the name of most Kubernetes objects."""

SecretName = Annotated[
    ObjectName,
    Rule(
        "!self.startsWith('ringfence-')",
        "Secrets whose names start with ringfence- belong to the operator: name a Secret of your own",
    ),
]

DataKey = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        "self.matches('^[-._a-zA-Z0-9]+$') && !self.startsWith('..')",
        "write a key of the ConfigMap or Secret: letters, digits, -, _ and .",
    ),
]

Image = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Rule("!self.matches('[[:space:]]')", "write an image without spaces, such as registry.example.com/team/agent:1.0"),
]

AbsolutePath = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Rule("self.startsWith('/')", "write an absolute path, such as /workspace"),
]

MountPath = Annotated[
    AbsolutePath,
    Rule(
        "!self.matches('(//|/$|:|[[:cntrl:]])') && !self.matches('/[.][.]?(/|$)')",
        "write a plain absolute path such as /workspace: no . or .. parts, no doubled or trailing slash, no colon",
    ),
    Rule(
        "!self.matches('^/(proc|sys|dev)?(/|$)')",
        "/, /proc, /sys and /dev belong to the container: write another path, such as /workspace",
    ),
]
"""Where something is mounted: canonical, so that two of them are the same place only if they are equal."""

Port = Annotated[int, Field(ge=1, le=65535)]

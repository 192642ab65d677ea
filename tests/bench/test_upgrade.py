from bench.upgrade.quickstart import first_commands

PAGE = """\
```sh
make up                # whoever has no cluster
kubectl version
```

```sh
# the chart
helm install ringfence charts/ringfence \\
  --wait
```

```sh
kubectl apply -f one.yaml
kubectl get agents
```

```console
$ kubectl wait --for=condition=Ready agent/one
condition met
$ kubectl get agents
```
"""


def test_what_is_typed_up_to_the_first_agent_is_counted_and_not_what_makes_a_cluster() -> None:
    assert [command.split() for command in first_commands(PAGE)] == [
        ["helm", "install", "ringfence", "charts/ringfence", "--wait"],
        ["kubectl", "apply", "-f", "one.yaml"],
        ["kubectl", "get", "agents"],
        ["kubectl", "wait", "--for=condition=Ready", "agent/one"],
    ]

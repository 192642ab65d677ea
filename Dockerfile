# The images of the operator (the default), of the egress gateway (--target gateway) and of agents' sidecars
# (--target sidecar).
# Both bases are arguments: a build without a registry brings its own.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
ARG UV=docker.io/astral/uv:0.13.9

FROM ${UV} AS uv

FROM ${BASE} AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PROJECT_ENVIRONMENT=/app \
    UV_PYTHON=/usr/local/bin/python3 UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./

FROM build AS build-gateway
RUN uv sync --frozen --no-dev --extra gateway --no-install-project
COPY gateway gateway
RUN uv sync --frozen --no-dev --extra gateway --no-editable

FROM ${BASE} AS gateway
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["/app/bin/python", "-m", "ringfence_gateway"]
COPY --from=build-gateway /app /app
# The program itself: /app/bin/envoy is a Python script that starts it.
RUN ln -s /app/lib/python3*/site-packages/envoy/_bin/envoy /usr/local/bin/envoy
USER 65532:65532

FROM build AS build-sidecar
RUN uv sync --frozen --no-dev --extra sidecar --no-install-project
COPY sidecar sidecar
RUN uv sync --frozen --no-dev --extra sidecar --no-editable

FROM ${BASE} AS sidecar
ENV PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["/app/bin/python", "-m", "ringfence_sidecar"]
COPY --from=build-sidecar /app /app

FROM build AS build-operator
RUN uv sync --frozen --no-dev --extra operator --no-install-project
COPY operator operator
RUN uv sync --frozen --no-dev --extra operator --no-editable

FROM ${BASE} AS operator
ENV PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["/app/bin/python", "-m", "ringfence_operator"]
COPY --from=build-operator /app /app

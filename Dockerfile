# syntax=docker/dockerfile:1
# The service of cofactor. Nothing is compiled when it starts, its root may be read-only, and it is nobody's account.
#
#   docker build -t cofactor .
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 \
#       -v ./model:/model:ro -v ./tokens.txt:/run/secrets/tokens:ro -v ratings:/data cofactor
#
# docs/guides/running.md says more; compose.yaml has a database beside it.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src/
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# Machine code is for one kind of processor, named here: any of the last ten years, not just that of the building machine.
FROM python:${PYTHON}-slim AS base-amd64
ARG CPU_NAME=x86-64-v3
ARG CPU_FEATURES=+avx2,+fma
ENV NUMBA_CPU_NAME=${CPU_NAME} NUMBA_CPU_FEATURES=${CPU_FEATURES}

FROM python:${PYTHON}-slim AS base-arm64
ARG CPU_NAME=generic
ENV NUMBA_CPU_NAME=${CPU_NAME}

FROM base-${TARGETARCH} AS installed
ARG EXTRAS=web
COPY --from=wheel /wheels /wheels
RUN python -m venv /opt/cofactor && \
    /opt/cofactor/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[$EXTRAS]"
RUN /opt/cofactor/bin/cofactor compile

FROM base-${TARGETARCH} AS service
COPY --from=installed /opt/cofactor /opt/cofactor
RUN mkdir -p /model && mkdir -m 1777 /data
ENV PATH=/opt/cofactor/bin:$PATH PYTHONDONTWRITEBYTECODE=1 COFACTOR_RATINGS=sqlite:////data/ratings.db
USER 10001:10001
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=2m \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["cofactor"]
CMD ["serve", "/model/model.safetensors", "--host", "0.0.0.0", "--token-file", "/run/secrets/tokens"]

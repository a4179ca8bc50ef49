# Cardvault in one container. It writes nothing: run it with a read-only root file system and, where a library wants a
# temporary file, a small tmpfs:  docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges …
# Give the base image's digest for a build that can be repeated:
#   docker build --build-arg PYTHON_DIGEST=sha256:… -t cardvault .
ARG PYTHON_IMAGE=python:3.11-slim
ARG PYTHON_DIGEST=

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# The environment that ships has no pip; the one that builds has nothing but pip and the locked setuptools.
RUN awk '/^setuptools==/ { found = 1 } found { print; if (!/\\$/) exit }' requirements-dev.lock > build.lock \
    && python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes -r build.lock \
    && python -m venv --without-pip /opt/cardvault \
    && /build/bin/pip --python /opt/cardvault/bin/python install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY keys keys
COPY vault vault
COPY ops ops
RUN /build/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /build/bin/pip --python /opt/cardvault/bin/python install --no-cache-dir --no-index --no-deps /wheels/*.whl \
    && mkdir /state

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}}
LABEL org.opencontainers.image.title="cardvault" \
      org.opencontainers.image.description="A self-hosted card vault that makes the payments itself and never gives a card number back"
ENV PATH=/opt/cardvault/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/cardvault /opt/cardvault
# For a volume with a keystore; what is mounted here takes over its owner.
COPY --from=build --chown=10001:10001 /state /var/lib/cardvault
USER 10001:10001
WORKDIR /
EXPOSE 8080
STOPSIGNAL SIGTERM
# For `serve` on port 8080 without TLS. Start others with a check of their own (--health-cmd), or with --no-healthcheck: a
# server with CARDVAULT_TLS_CERTIFICATE_FILE or on another port, and `worker`.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["cardvault"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]

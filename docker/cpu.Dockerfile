# syntax=docker/dockerfile:1
# xpnet on the CPU. Build from the repository's root: docker build -f docker/cpu.Dockerfile -t xpnet:cpu .

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir "$(echo /wheels/xpnet-*.whl)[cli]"

# /data takes the models and pictures, /cache what the libraries keep between runs. Anyone may write to
# them, so that `--user` can name whoever owns the mounted folder.
RUN useradd --create-home xpnet && mkdir -m 1777 /data /cache
ENV MPLBACKEND=Agg MPLCONFIGDIR=/cache/matplotlib PYTHONUNBUFFERED=1
USER xpnet
WORKDIR /data
ENTRYPOINT ["python", "-m", "xpnet"]
CMD ["--help"]

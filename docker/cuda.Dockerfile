# syntax=docker/dockerfile:1
# xpnet on CUDA 12. Build from the repository's root: docker build -f docker/cuda.Dockerfile -t xpnet:cuda .
#
# The base is plain Python rather than an nvidia/cuda image: the extra `cuda12` brings the toolkit (cuBLAS, NVRTC
# and the rest) as wheels that match CuPy, so the CUDA version is named in one place, pyproject.toml, and Python
# is the same as in the CPU image. The driver comes from the host.

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir "$(echo /wheels/xpnet-*.whl)[cli,cuda12]"

# /data takes the models and pictures, /cache what the libraries keep between runs, compiled kernels among it.
# Anyone may write to them, so that `--user` can name whoever owns the mounted folder.
RUN useradd --create-home xpnet && mkdir -m 1777 /data /cache
ENV MPLBACKEND=Agg MPLCONFIGDIR=/cache/matplotlib PYTHONUNBUFFERED=1 \
    CUPY_CACHE_DIR=/cache/cupy CUDA_CACHE_PATH=/cache/cuda \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER xpnet
WORKDIR /data
ENTRYPOINT ["python", "-m", "xpnet"]
CMD ["--help"]

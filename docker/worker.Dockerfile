# The worker: GStreamer's runtime and whisper.cpp, no development files. Build from the repository's root:
#   docker build -f docker/worker.Dockerfile -t chalkstream-worker .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      cmake g++ libgstreamer-plugins-base1.0-dev libgstreamer1.0-dev make pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# GGML_NATIVE=OFF: the image runs on other processors than the one that builds it.
ENV WHISPER_DONT_GENERATE_BINDINGS=1 GGML_LLAMAFILE=ON GGML_NATIVE=OFF
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --no-default-features --features worker --bin chalkstream \
 && cp target/release/chalkstream /usr/local/bin/chalkstream

FROM debian:bookworm-slim
# The registry of plug-ins is made here, once: a step's child that scans for itself starts 1.4 s later.
ENV GST_REGISTRY=/usr/local/share/chalkstream/gstreamer-registry.bin
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates gstreamer1.0-libav gstreamer1.0-plugins-bad gstreamer1.0-plugins-base \
      gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-tools python3-pip \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /usr/local/share/chalkstream && gst-inspect-1.0 > /dev/null \
 && useradd --system --uid 10001 --home-dir /var/lib/chalkstream --create-home chalkstream \
 && install -d -o 10001 -g 10001 /var/lib/chalkstream/models /var/lib/chalkstream/scratch
COPY --from=build /usr/local/bin/chalkstream /usr/local/bin/chalkstream
USER 10001:10001
WORKDIR /var/lib/chalkstream
# 8482 is for operators and asks for no key: do not publish it.
ENV GST_REGISTRY_UPDATE=no \
    CHALKSTREAM__WORKER__ADMIN_LISTEN=0.0.0.0:8482 \
    CHALKSTREAM__WORKER__SCRATCH_PATH=/var/lib/chalkstream/scratch \
    CHALKSTREAM__SPEECH__MODEL_PATH=/var/lib/chalkstream/models \
    CHALKSTREAM__LOG__FORMAT=json
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s --retries=3 CMD ["chalkstream", "doctor", "--quick"]
ENTRYPOINT ["chalkstream"]
CMD ["worker"]

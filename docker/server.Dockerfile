# The HTTP server: no GStreamer, no whisper.cpp. Build from the repository's root:
#   docker build -f docker/server.Dockerfile -t chalkstream-server .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake g++ make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --no-default-features --features server --bin chalkstream \
 && cp target/release/chalkstream /usr/local/bin/chalkstream

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/chalkstream --create-home chalkstream \
 && install -d -o 10001 -g 10001 /var/lib/chalkstream/models
COPY --from=build /usr/local/bin/chalkstream /usr/local/bin/chalkstream
COPY docker/healthcheck /usr/local/bin/healthcheck
USER 10001:10001
WORKDIR /var/lib/chalkstream
# 8481 is for operators and asks for no key: publish only 8480.
ENV CHALKSTREAM__SERVER__LISTEN=0.0.0.0:8480 \
    CHALKSTREAM__SERVER__ADMIN_LISTEN=0.0.0.0:8481 \
    CHALKSTREAM__SERVER__INDEX_PATH=/var/lib/chalkstream/index \
    CHALKSTREAM__SPEECH__MODEL_PATH=/var/lib/chalkstream/models \
    CHALKSTREAM__LOG__FORMAT=json
EXPOSE 8480
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["chalkstream"]
CMD ["server"]

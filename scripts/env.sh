# Sourced by every script: one cache, one target folder, one set of build variables. Safe to source in any shell.

# Everything the scripts download or build is below this folder; deleting it starts afresh.
export CHALKSTREAM_CACHE="${CHALKSTREAM_CACHE:-$HOME/.cache/chalkstream}"
mkdir -p "$CHALKSTREAM_CACHE"

# Demo, tests and benchmarks share one target folder, so that whisper.cpp and the large crates are built once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CHALKSTREAM_CACHE/target}"

# whisper.cpp: the bindings that ship with the crate (no clang needed), and the matrix kernels that measured 15-40%
# faster than the default ones.
export WHISPER_DONT_GENERATE_BINDINGS=1
export GGML_LLAMAFILE=ON

# GStreamer scans its plug-ins once, in scripts/setup: a step's child that scans for itself takes 1.4 s to start, not 0.03.
export GST_REGISTRY="${GST_REGISTRY:-$CHALKSTREAM_CACHE/gstreamer-registry.bin}"
if [ -s "$GST_REGISTRY" ]; then export GST_REGISTRY_UPDATE=no; fi

# Prebuilt development tools (scripts/tools.txt) come last: what the machine already has wins.
case ":$PATH:" in *":$CHALKSTREAM_CACHE/tools/bin:"*) ;; *) export PATH="$PATH:$CHALKSTREAM_CACHE/tools/bin" ;; esac

# The browser of the player tests.
if [ -z "${CHROMIUM:-}" ]; then
  for name in chromium chromium-browser google-chrome-stable google-chrome; do
    if CHROMIUM=$(command -v "$name"); then break; fi
  done
fi
export CHROMIUM

# What the end-to-end tests read: the composed lesson, and the speech models.
export CHALKSTREAM_LESSON="${CHALKSTREAM_LESSON:-$CHALKSTREAM_CACHE/lesson}"
export CHALKSTREAM_TEST_MODELS="${CHALKSTREAM_TEST_MODELS:-$CHALKSTREAM_CACHE/models}"

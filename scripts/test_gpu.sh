#!/usr/bin/env bash
# Runs the command where there is a GPU, and says so where there is none, which is no failure.
#   scripts/test_gpu.sh COMMAND...
# Environment: NVCC.
set -uo pipefail

skip() {
    echo "skipped: $1"
    exit 0
}

command -v "${NVCC:=nvcc}" >/dev/null || skip "no nvcc ($NVCC)"
command -v nvidia-smi >/dev/null || skip "no GPU (no nvidia-smi)"
nvidia-smi -L 2>/dev/null | grep '^GPU ' || skip "no GPU (nvidia-smi lists none)"
exec "$@"

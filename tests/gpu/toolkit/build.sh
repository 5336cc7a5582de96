#!/usr/bin/env bash
# What passes for CUDA's folder where the GPU is a CPU: headers and libraries.
#   tests/gpu/toolkit/build.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/lib64"
ln -sfn "$here/include" "$1/include"
lib=$1/lib64/libcudart.a
if [ -e "$lib" ] && [ -z "$(find "$here" "$here/.." -maxdepth 1 -newer "$lib" -name '*_on_cpu.*' -o -newer "$lib" -name 'cu*.cpp')" ]; then exit; fi
blas=$(PKG_CONFIG_PATH=$(dirname /usr/lib/*/openblas-openmp/pkgconfig/openblas.pc) pkg-config --cflags openblas)
for source in "$here/cuda.cpp" "$here/cudnn.cpp" "$here/../kernel_on_cpu.cpp"; do
    # shellcheck disable=SC2086 # flags
    "${CXX:-g++}" -std=c++17 -O1 -g -Wall -Wextra -Werror -fPIC $blas -I"$here/include" -I"$here/.." -I"$here/../../../darknet_vkd" \
        -c "$source" -o "$1/lib64/$(basename "$source").o"
done
ar rcs "$lib" "$1"/lib64/*.o
for empty in cublas cudnn curand; do ar rcs "$1/lib64/lib$empty.a"; done

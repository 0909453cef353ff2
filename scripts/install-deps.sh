#!/bin/sh
# Installs what building, testing and the demo need on Debian 12: packages, and a Python environment in .venv with
# pinned versions. Does nothing, quickly, when all is there.
set -eu
cd "$(dirname "$0")/.."

packages="build-essential pkg-config meson ninja-build libnghttp2-dev libyaml-dev libjansson-dev
libcmocka-dev libcurl4-openssl-dev man-db python3 python3-venv iproute2 mount nftables curl procps strace valgrind cppcheck
clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev llvm-14"

# Whichever kubectl there is will do. Debian's would not install beside another package's.
command -v kubectl >/dev/null || packages="$packages kubernetes-client"

missing=""
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "These packages are missing, and only root can install them:$missing" >&2
        exit 1
    fi
    echo "Installing:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# Debian 12's nghttp2 has the fixes of 2024 and 2026 only from this version on.
needed=1.52.0-1+deb12u3
if ! dpkg --compare-versions "$(dpkg-query -W -f '${Version}' libnghttp2-14)" ge "$needed"; then
    echo "libnghttp2-14 is older than $needed, which has known security bugs; run: apt-get install libnghttp2-14" >&2
    exit 1
fi

stamp=.venv/requirements.stamp
if ! cmp -s tests/requirements.txt "$stamp"; then
    echo "Preparing the Python environment in .venv"
    rm -rf .venv
    /usr/bin/python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
    cp tests/requirements.txt "$stamp"
fi

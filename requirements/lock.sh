#!/bin/sh
# Renew the hashed pins. They name no index, so that they install from wherever pip is told to look.
#   requirements/lock.sh path/to/uv
set -eu
cd "$(dirname "$0")/.."
compile() {
    out="requirements/$1.txt"
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate --no-emit-index-url --no-emit-find-links "$@" --output-file "$out"
}
uv="$1"
all="--extra training --extra serving --extra batch"
# The development set decides every version; the others are parts of it.
compile development pyproject.toml $all --extra formats --extra onnx-export --extra postgresql --extra trials --group dev
compile runtime pyproject.toml $all --constraint requirements/development.txt
compile training pyproject.toml --extra training --constraint requirements/development.txt
compile serving pyproject.toml --extra serving --constraint requirements/development.txt
# What a Bento needs whose models were exported from scikit-learn.
compile onnx pyproject.toml --extra serving --extra onnx --constraint requirements/development.txt
compile batch pyproject.toml --extra serving --extra batch --constraint requirements/development.txt
echo "uv>=0.9" | compile bootstrap -
# A generator of OpenAPI clients, which needs another typer than ours and so its own environment.
echo "openapi-python-client>=0.29" | compile openapi-client -

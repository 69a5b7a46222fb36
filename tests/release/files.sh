#!/usr/bin/env bash
# What is put beside a release: the static binary, its bill of materials, the CRDs, the chart, and their checksums.
#
#   tests/release/files.sh VERSION BINARY SBOM FOLDER
#
# It fails where VERSION is not that of the program and of the chart: a tag names what it holds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly VERSION=${1:?the version} BINARY=${2:?the binary} SBOM=${3:?the bill of materials} FOLDER=${4:?the folder to fill}

fail() {
  echo "release-files: $*" >&2
  exit 1
}
of_chart() { sed --quiet "s/^$1: //p" charts/tradewind/Chart.yaml; }

program=$("$BINARY" --version)
[[ $program == "tradewind $VERSION"* ]] || fail "the program is $program, not $VERSION: set version in Cargo.toml, or tag another commit"
for field in version appVersion; do
  [[ $(of_chart "$field") == "$VERSION" ]] || fail "$field of the chart is $(of_chart "$field"), not $VERSION: set it in charts/tradewind/Chart.yaml"
done

rm -rf "$FOLDER"
mkdir -p "$FOLDER"
cp "$BINARY" "$FOLDER/tradewind-linux-$(uname -m)"
cp "$SBOM" "$FOLDER/tradewind.cdx.json"
"$BINARY" crds > "$FOLDER/crds.yaml"
chart=$PWD/charts/tradewind into=$(realpath "$FOLDER")
(cd tests/tools/helm && go tool helm package "$chart" --destination "$into" > /dev/null)
cd "$FOLDER"
sha256sum -- * > SHA256SUMS
cat SHA256SUMS

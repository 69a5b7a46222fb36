#!/usr/bin/env bash
# What is put beside a release: the static binary, its bill of materials, the CRDs, the chart, and their checksums.
#
#   tests/release/files.sh VERSION IMAGE BINARY SBOM FOLDER      HELM: a Helm to use in place of that of tests/tools
#
# It fails where VERSION is not that of the program, of the chart and of IMAGE: a tag names what it holds. The chart is a copy of ours whose
# values name IMAGE, so that it installs what is released with it, on nodes of the kind of machine that IMAGE is for: this one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly VERSION=${1:?the version} IMAGE=${2:?the image} BINARY=${3:?the binary} SBOM=${4:?the bill of materials} FOLDER=${5:?the folder to fill}
readonly REPOSITORY=${IMAGE%:"$VERSION"} PLACEHOLDER=registry.example.com

fail() {
  echo "release-files: $*" >&2
  exit 1
}
of_chart() { sed --quiet "s/^$1: //p" charts/tradewind/Chart.yaml; }
helm() { if [[ -n ${HELM:-} ]]; then "$HELM" "$@"; else (cd tests/tools/helm && go tool helm "$@"); fi; }

program=$("$BINARY" --version)
[[ $program == "tradewind $VERSION"* ]] || fail "the program is $program, not $VERSION: set version in Cargo.toml, or tag another commit"
for field in version appVersion; do
  [[ $(of_chart "$field") == "$VERSION" ]] || fail "$field of the chart is $(of_chart "$field"), not $VERSION: set it in charts/tradewind/Chart.yaml"
done
case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) fail "nobody has said what Kubernetes calls $(uname -m)" ;;
esac
[[ $REPOSITORY != "$IMAGE" ]] || fail "the image is $IMAGE, not one of $VERSION: set IMAGE=…:$VERSION"
[[ $REPOSITORY != "$PLACEHOLDER"/* ]] || fail "the image is the placeholder $IMAGE: set IMAGE to the one that is pushed"

rm -rf "$FOLDER"
mkdir -p "$FOLDER"
cp "$BINARY" "$FOLDER/tradewind-linux-$(uname -m)"
cp "$SBOM" "$FOLDER/tradewind.cdx.json"
"$BINARY" crds > "$FOLDER/crds.yaml"

into=$(realpath "$FOLDER")
copy=$(mktemp --directory)
trap 'rm -rf "$copy"' EXIT
cp -r charts/tradewind "$copy/tradewind"
sed --in-place "s|^  repository: $PLACEHOLDER/tradewind\$|  repository: $REPOSITORY|; s|^  # -- No image is published yet: .*|  # -- The image of this release.|" \
  "$copy/tradewind/values.yaml"
sed --in-place "s|^nodeSelector: {}\$|nodeSelector: {kubernetes.io/arch: $arch}|" "$copy/tradewind/values.yaml"
sed --in-place "s| --set image.repository=$PLACEHOLDER/tradewind||" "$copy/tradewind/README.md"
# The notes ask for it.
left=$(grep --recursive --files-with-matches --exclude NOTES.txt --fixed-strings "$PLACEHOLDER" "$copy" || true)
[[ -z $left ]] || fail "$PLACEHOLDER is left in ${left//$copy\//}"
helm package "$copy/tradewind" --destination "$into" > /dev/null
rendered=$(helm template tradewind "$into/tradewind-$VERSION.tgz")
[[ $rendered == *"image: $IMAGE"$'\n'* ]] || fail "the packed chart does not install $IMAGE"
[[ $rendered$'\n' == *"kubernetes.io/arch: $arch"$'\n'* ]] || fail "the packed chart installs $IMAGE on nodes that cannot run it"

cd "$FOLDER"
sha256sum -- * > SHA256SUMS
cat SHA256SUMS

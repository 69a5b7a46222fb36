# The operator as one static program on nothing: no shell, no libc, no package manager.
#
#   docker build --tag registry.example.com/tradewind:0.1.0 .
#
# For the machine that it is built on, x86_64 or aarch64; `docker buildx build --platform` asks machines of either kind.
FROM rust:1.95.0-bookworm AS build
# A C compiler for musl: ring's assembly comes with some C.
RUN apt-get update && apt-get install --yes --no-install-recommends musl-tools
WORKDIR /src
COPY . .
RUN make static && cp "target/$(uname -m)-unknown-linux-musl/release/tradewind" /tradewind

FROM scratch
# The CA certificates of the system, which calls to providers are checked with; --ca-bundle adds to them.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /tradewind /tradewind
# By number, so that Kubernetes can see that it is not root. It writes no file: the root may be read-only.
USER 65532:65532
EXPOSE 8080
# What registries and scanners read. `make image` says version and revision: the tag of the image, and the commit.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title=tradewind
LABEL org.opencontainers.image.source=https://github.com/tradewind-dev/tradewind
LABEL org.opencontainers.image.licenses=Apache-2.0
LABEL org.opencontainers.image.version=$VERSION
LABEL org.opencontainers.image.revision=$REVISION
ENTRYPOINT ["/tradewind"]
CMD ["run"]

# The image of every service: one static binary, and nothing else to keep up to date.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t orderlane .
#
# It listens on :8080, and for operators on :8081, and so refuses to start without
# authentication; `docker run orderlane serve --help` lists all settings. It runs as user 65532, and
# writes to /data only: mails without a mail server, and all there is without Kafka and PostgreSQL.

FROM --platform=$BUILDPLATFORM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=development
# The same source and version give the same bytes: no paths, no build id, no state of a checkout.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOTOOLCHAIN=local go build -trimpath -buildvcs=false \
      -ldflags "-s -w -buildid= -X main.release=$VERSION" -o /out/orderlane ./services/orderlane \
 && mkdir /out/data

FROM scratch
ARG VERSION=development REVISION=unknown
LABEL org.opencontainers.image.title="Orderlane" \
      org.opencontainers.image.description="An order platform for a shop: commands over HTTP, events on Kafka, views of their own" \
      org.opencontainers.image.source="https://github.com/orderlane/orderlane" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/orderlane /orderlane
ENV ORDERLANE_LISTEN=:8080 ORDERLANE_OPERATOR_LISTEN=:8081 ORDERLANE_DATA=/data
EXPOSE 8080 8081
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/orderlane"]
CMD ["serve"]

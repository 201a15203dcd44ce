# syntax=docker/dockerfile:1
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/enotify ./cmd/enotify && mkdir /out/state

# Nothing but the program, the certificates it verifies receivers by, and the
# time zones.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /usr/share/zoneinfo.zip
COPY --from=build /out/enotify /usr/local/bin/enotify
COPY --from=build --chown=65532:65532 /out/state /var/lib/enotify
ENV ZONEINFO=/usr/share/zoneinfo.zip ENOTIFY_STATE_DIR=/var/lib/enotify/journals
USER 65532:65532
# The journal: give it a volume that outlives the container.
VOLUME /var/lib/enotify
EXPOSE 9025
ENTRYPOINT ["/usr/local/bin/enotify"]
CMD ["run"]

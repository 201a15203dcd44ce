# syntax=docker/dockerfile:1
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/enotify ./cmd/enotify && mkdir -p /out/state/journals /out/dkim

# Nothing but the program, which has the time zones in it, and the certificates it
# verifies receivers by. It needs neither a shell nor /tmp.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/enotify /usr/local/bin/enotify
COPY --from=build --chown=65532:65532 /out/state /var/lib/enotify
COPY --from=build --chown=65532:65532 /out/dkim /etc/enotify/dkim
ENV ENOTIFY_STATE_DIR=/var/lib/enotify/journals ENOTIFY_DKIM_DIR=/etc/enotify/dkim
USER 65532:65532
# The journal and the DKIM keys: give them volumes that outlive the container.
VOLUME /var/lib/enotify /etc/enotify/dkim
EXPOSE 9025
ENTRYPOINT ["/usr/local/bin/enotify"]
CMD ["run"]

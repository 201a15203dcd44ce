#!/bin/sh
# The logins and the database of docker-compose.yml. The image of PostgreSQL runs it
# once, as the superuser, when it makes the cluster.
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "${POSTGRES_DB:-postgres}" \
	--set ops="$OPS_PASSWORD" --set sender="$SENDER_PASSWORD" --set cms="$CMS_PASSWORD" <<'SQL'
CREATE ROLE ops LOGIN PASSWORD :'ops';          -- owns the database: migrates, steers
CREATE ROLE sender LOGIN PASSWORD :'sender';    -- the nodes
CREATE ROLE cms LOGIN PASSWORD :'cms';          -- an application
CREATE ROLE enotify_app NOLOGIN;
CREATE ROLE enotify_admin NOLOGIN;
CREATE ROLE enotify_sender NOLOGIN;
GRANT enotify_app, enotify_admin, enotify_sender TO ops WITH ADMIN OPTION;
GRANT enotify_sender TO sender;
CREATE DATABASE enotify OWNER ops;
REVOKE CONNECT ON DATABASE enotify FROM PUBLIC;
GRANT CONNECT ON DATABASE enotify TO sender, cms;
SQL

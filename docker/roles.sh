#!/bin/sh
# Run once by the PostgreSQL image: the owner of the tables and the application that owns none.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres \
    --set owner_password="$CAD_OWNER_PASSWORD" --set app_password="$CAD_APP_PASSWORD" <<'SQL'
CREATE ROLE cad_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE cad_app LOGIN PASSWORD :'app_password';
CREATE DATABASE cad OWNER cad_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE cad FROM PUBLIC;
GRANT CONNECT ON DATABASE cad TO cad_app;
-- Drills of restoring fill and empty it.
CREATE DATABASE cad_drill OWNER cad_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE cad_drill FROM PUBLIC;
SQL

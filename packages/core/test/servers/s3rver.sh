#!/bin/bash
# s3rver 3.7.1, from npm, loopback only: good for a quick look, not for correctness (no checks, no list of parts).
#   s3rver.sh up|down PORT DATADIR
# PKG is the folder with its node_modules. Bucket smoke, access key S3RVER, secret S3RVER.
. "$(dirname "$0")/lib.sh"
if [ "$ACTION" = down ]; then stop s3rver; exit 0; fi
mkdir -p "$DATA/objects"
start s3rver node "${PKG:?}/node_modules/s3rver/bin/s3rver.js" -d "$DATA/objects" -a "$HOST" -p "$PORT" \
  --no-vhost-buckets --silent --configure-bucket smoke
wait_port "$PORT" && echo "s3rver: http://$HOST:$PORT"

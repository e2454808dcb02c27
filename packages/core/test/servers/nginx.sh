#!/bin/bash
# nginx with lua, in the shape of an S3 server, loopback only: takes every body and keeps only what size it had.
#   nginx.sh up|down PORT DATADIR
# Debian: nginx-light libnginx-mod-http-lua. Any credentials. PUT and POST go wrong where they are told to:
#   /__fault?n=N&status=503&retry_after=1   the next N answer that, after the body was read
#   /__fault?n=N&status=503&early=1         ... before the body is read, and the connection is closed
#   /__fault?n=N&cut=BYTES                  the next N lose their connection after so many bytes of the body
#   /__fault?n=N&lost=1                     the next N are carried out, and their answer is lost
#   /__fault?delay_ms=D                     every answer waits
#   /__fault?reset=1                        all is well again
. "$(dirname "$0")/lib.sh"
if [ "$ACTION" = down ]; then stop nginx; exit 0; fi
mkdir -p "$DATA/tmp"
M=/usr/lib/nginx/modules
cat >"$DATA/run/s3.lua" <<'X2'
local objects, state = ngx.shared.objects, ngx.shared.state
local method, uri, args = ngx.req.get_method(), ngx.var.uri, ngx.req.get_uri_args()
local faults = { 'n', 'status', 'retry_after', 'early', 'cut', 'lost', 'delay_ms' }
local function empty(status) ngx.status = status; ngx.header['Content-Length'] = 0; ngx.send_headers() end
local function xml(status, root, content)
  local body = '<?xml version="1.0" encoding="UTF-8"?><' .. root .. '>' .. content .. '</' .. root .. '>'
  ngx.status = status; ngx.header['Content-Type'] = 'application/xml'; ngx.header['Content-Length'] = #body
  ngx.print(body)
end
local function failure(status, code) xml(status, 'Error', '<Code>' .. code .. '</Code><Message>As told.</Message>') end
if uri == '/__fault' then
  for _, name in ipairs(faults) do state:delete(name) end
  for name, value in pairs(args) do if name ~= 'reset' then state:set(name, tonumber(value)) end end
  return ngx.say('ok')
end
local size = tonumber(ngx.var.http_content_length) or 0
local status, cut, lost, early
if method == 'PUT' or method == 'POST' then
  local left = state:get('n')
  if left and left > 0 and state:incr('n', -1) >= 0 then
    status, cut, lost, early = state:get('status'), state:get('cut'), state:get('lost'), state:get('early')
  end
  if status and early then
    ngx.header['Retry-After'] = state:get('retry_after'); ngx.header['Connection'] = 'close'
    return failure(status, 'SlowDown')
  end
  if cut then
    local socket, read = ngx.req.socket(), 0
    while socket and read < size and read < cut do
      local bytes = socket:receiveany(65536)
      if not bytes then return ngx.exit(499) end
      read = read + #bytes
    end
    return ngx.exit(444)
  end
  ngx.req.read_body()
end
local delay = state:get('delay_ms')
if delay then ngx.sleep(delay / 1000) end
if status then ngx.header['Retry-After'] = state:get('retry_after'); return failure(status, 'SlowDown') end
local upload = args.uploadId
local function partKey(number) return 'part:' .. upload .. ':' .. number end
if upload and not state:get('upload:' .. upload) then return failure(404, 'NoSuchUpload') end
if method == 'PUT' then
  if upload then state:set(partKey(tonumber(args.partNumber)), size) else objects:set(uri, size) end
  if lost then return ngx.exit(444) end
  ngx.header['ETag'] = '"' .. ngx.md5(uri .. size) .. '-1"'
  return empty(200)
elseif method == 'POST' and args.uploads then
  local id = 'u' .. state:incr('uploads', 1, 0)
  state:set('upload:' .. id, 1)
  if lost then return ngx.exit(444) end
  return xml(200, 'InitiateMultipartUploadResult', '<UploadId>' .. id .. '</UploadId>')
elseif method == 'POST' and upload then
  local whole, number = 0, 1
  while state:get(partKey(number)) do whole = whole + state:get(partKey(number)); number = number + 1 end
  objects:set(uri, whole); state:delete('upload:' .. upload)
  if lost then return ngx.exit(444) end
  return xml(200, 'CompleteMultipartUploadResult', '<ETag>&quot;' .. ngx.md5(uri) .. '-2&quot;</ETag>')
elseif method == 'DELETE' then
  if upload then state:delete('upload:' .. upload) else objects:delete(uri) end
  return empty(204)
elseif method == 'HEAD' then
  local found = objects:get(uri)
  if not found then return empty(404) end
  ngx.header['Content-Length'] = found; ngx.status = 200
  return ngx.send_headers()
elseif upload then
  return xml(200, 'ListPartsResult', '<IsTruncated>false</IsTruncated>')
end
return failure(501, 'NotImplemented')
X2
cat >"$DATA/run/nginx.conf" <<X3
load_module $M/ndk_http_module.so;
load_module $M/ngx_http_lua_module.so;
daemon off;
user $(id -un);
worker_processes 1;
pid $DATA/run/nginx.inner.pid;
error_log $DATA/log/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_max_body_size 0;
  client_body_temp_path $DATA/tmp; proxy_temp_path $DATA/tmp; fastcgi_temp_path $DATA/tmp;
  uwsgi_temp_path $DATA/tmp; scgi_temp_path $DATA/tmp;
  lua_shared_dict objects 16m; lua_shared_dict state 4m; lua_socket_log_errors off;
  server {
    listen $HOST:$PORT; client_body_buffer_size 1m; server_tokens off;
    location / { content_by_lua_file $DATA/run/s3.lua; }
  }
}
X3
start nginx nginx -c "$DATA/run/nginx.conf"
wait_port "$PORT" && echo "nginx: http://$HOST:$PORT"

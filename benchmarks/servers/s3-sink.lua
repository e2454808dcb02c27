-- A sink that speaks enough of S3 for uploads: reads every body and keeps nothing of it but its size. Any credentials.
local ctl = ngx.shared.ctl
local method, uri, query = ngx.req.get_method(), ngx.var.uri, ngx.var.args or ""

local function answer(status, body)
  ngx.status = status
  ngx.header["Content-Length"] = #body
  if #body > 0 then ngx.header["Content-Type"] = "application/xml" end
  if #body > 0 and method ~= "HEAD" then ngx.print(body) else ngx.send_headers() end
end

if uri == "/__reset" then ctl:set("bytes", 0); ctl:set("objects", 0); return answer(200, "ok") end
if uri == "/__stat" then return answer(200, (ctl:get("bytes") or 0) .. " " .. (ctl:get("objects") or 0)) end

if method == "PUT" or method == "POST" then
  local length = tonumber(ngx.var.http_content_length) or 0
  if length > 1048576 then
    local socket, left = ngx.req.socket(), length
    while socket and left > 0 do
      local block = socket:receiveany(left < 262144 and left or 262144)
      if not block then return ngx.exit(499) end
      left = left - #block
    end
  else
    ngx.req.read_body()
  end
  if method == "PUT" then ctl:incr("bytes", length, 0) end
end

local xml = '<?xml version="1.0" encoding="UTF-8"?>'
if method == "PUT" then
  if not query:find("partNumber", 1, true) then ctl:incr("objects", 1, 0) end
  local md5 = ngx.var.http_content_md5
  local etag = "00000000000000000000000000000000-1"
  if md5 then etag = (ngx.decode_base64(md5):gsub(".", function(c) return string.format("%02x", c:byte()) end)) end
  ngx.header["ETag"] = '"' .. etag .. '"'
  return answer(200, "")
elseif method == "POST" and query:find("uploadId", 1, true) then
  ctl:incr("objects", 1, 0)
  return answer(200, xml .. "<CompleteMultipartUploadResult><Location>l</Location><Bucket>b</Bucket><Key>k</Key>" ..
    "<ETag>&quot;00000000000000000000000000000000-2&quot;</ETag></CompleteMultipartUploadResult>")
elseif method == "POST" and query:find("uploads", 1, true) then
  return answer(200, xml .. "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u" ..
    ngx.var.connection .. "-" .. ngx.var.connection_requests .. "</UploadId></InitiateMultipartUploadResult>")
elseif method == "POST" then
  return answer(200, xml .. "<DeleteResult></DeleteResult>")
elseif method == "HEAD" then
  return answer(uri:find("^/[^/]+/.") and 404 or 200, "")
elseif method == "DELETE" then
  return answer(204, "")
elseif query:find("location", 1, true) then
  return answer(200, xml .. "<LocationConstraint></LocationConstraint>")
end
answer(200, xml .. "<ListBucketResult><Name>b</Name><Prefix></Prefix><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys>" ..
  "<IsTruncated>false</IsTruncated></ListBucketResult>")

-- The whole job in nginx: what gateways on OpenResty are made of, without what they add for being general. Look-ups are
-- plain string searches and FFI calls, which LuaJIT compiles; no table is made for a request.
local ffi = require 'ffi'
local cjson = require 'cjson.safe'

ffi.cdef 'unsigned char *SHA256(const unsigned char *data, size_t length, unsigned char *digest);'

local find, sub = string.find, string.sub
local tonumber = tonumber
local digest = ffi.new('unsigned char[32]')
local keys, counters = ngx.shared.keys, ngx.shared.counters
local HOUR = 3600

local _M = {}
-- 'api-7/v1' -> { context, routes = { ['GET resource-3'] = true } }
local apis = {}
-- context -> counts by bucket, as many as bounds and one more
local histograms = {}
local BOUNDS = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30 }

-- Files: contexts one a line, routes one a line (for every API), keys as 16 bytes of their hash and a line.
function _M.load(directory)
  local routes = {}
  for route in io.lines(directory .. '/routes') do routes[route] = true end
  for context in io.lines(directory .. '/contexts') do
    apis[context] = { context = context, routes = routes }
    histograms[context] = {}
    for i = 1, #BOUNDS + 1 do histograms[context][i] = 0 end
  end
  local file = assert(io.open(directory .. '/keys', 'rb'))
  while true do
    local id = file:read(16)
    if not id then break end
    local ok, err, forced = keys:set(id, file:read('*l'))
    assert(ok and not forced, err or 'the shared dict for keys is too small')
  end
  file:close()
end

local function locate(path, method)
  local first = find(path, '/', 2, true)
  local second = first and find(path, '/', first + 1, true)
  if not second then return nil end
  local api = apis[sub(path, 2, second - 1)]
  if not api then return nil end
  local third = find(path, '/', second + 1, true)
  if not third or not api.routes[method .. ' ' .. sub(path, second + 1, third - 1)] then return api, nil end
  return api, sub(path, second)
end

-- A key's line: 'api-7/v1|1000000000|gold|<application>'.
local function holder(key, api)
  ffi.C.SHA256(key, #key, digest)
  local id = ffi.string(digest, 16)
  local line = keys:get(id)
  if not line then return 401 end
  local bar = find(line, '|', 1, true)
  if sub(line, 1, bar - 1) ~= api.context then return 403 end
  return nil, id, line, bar
end

function _M.access()
  local var = ngx.var
  local path = var.uri
  local api, below = locate(path, ngx.req.get_method())
  if not below then return ngx.exit(404) end
  local key = var.http_x_api_key
  if not key then return ngx.exit(401) end
  local status, id, line, bar = holder(key, api)
  if status then return ngx.exit(status) end
  local limit = tonumber(sub(line, bar + 1, find(line, '|', bar + 1, true) - 1))
  local count = counters:incr(id, 1, 0, HOUR)
  if count > limit then
    ngx.header['Retry-After'] = HOUR
    return ngx.exit(429)
  end
  var.rate_limit = '"rate";r=' .. (limit - count) .. ';t=' .. HOUR
  var.api = api.context
  ngx.req.set_uri('/backend' .. below)
end

function _M.log()
  local histogram = histograms[ngx.var.api]
  if not histogram then return end
  local seconds = ngx.now() - ngx.req.start_time()
  local i = 1
  while BOUNDS[i] and seconds > BOUNDS[i] do i = i + 1 end
  histogram[i] = histogram[i] + 1
end

function _M.observed()
  local sum = 0
  for _, histogram in pairs(histograms) do
    for i = 1, #histogram do sum = sum + histogram[i] end
  end
  ngx.print(sum)
end

function _M.validate()
  ngx.req.read_body()
  local question = cjson.decode(ngx.req.get_body_data() or '')
  if not question or not question.path or not question.method then return ngx.exit(400) end
  local query = find(question.path, '?', 1, true)
  local api, below = locate(query and sub(question.path, 1, query - 1) or question.path, question.method)
  ngx.header['Content-Type'] = 'application/json'
  local answer
  if not below then
    answer = { valid = false, status = 404, code = api and 'no_such_route' or 'no_such_api' }
  elseif not question.key then
    answer = { valid = false, status = 401, code = 'credential_missing' }
  else
    local status, _, line, bar = holder(question.key, api)
    if status then
      answer = { valid = false, status = status, code = status == 401 and 'credential_unknown' or 'not_subscribed' }
    else
      local plan = find(line, '|', bar + 1, true) + 1
      local application = find(line, '|', plan, true) + 1
      local slash = find(api.context, '/', 1, true)
      answer = {
        valid = true, application = sub(line, application), api = sub(api.context, 1, slash - 1),
        version = sub(api.context, slash + 1), plan = sub(line, plan, application - 2), expiresAt = cjson.null,
        revision = 'prod@1',
      }
    end
  end
  ngx.print(cjson.encode(answer))
end

return _M

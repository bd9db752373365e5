-- Requests for wrk: a key at random out of all of them, an API that it may call, a route and an id at random.
-- Arguments: kind (proxy | validate), keys, apis, applications, seed. The same as in world.ts.
local COUNT = 50000 -- made beforehand: making them would take as much of the load's core as sending them
local texts, next_text = {}, 0
local format, random, floor = string.format, math.random, math.floor
local fields = 'User-Agent: bench-client/1.0 (load)\r\nAccept: application/json\r\nX-Client-Debug: 1\r\n\r\n'

local function digits(key, factor) return format('%09d', key * factor % 1e9) end

-- LuaJIT keeps every string once and hashes it by its first and last bytes and some in the middle. What differs has to be in the
-- middle, which is where the key is: else fifty thousand of them have one hash, and making them takes minutes.
local function make(kind, keys, apis, applications)
  local key = random(0, keys - 1)
  local application = key % applications
  local api = apis > applications and floor(application * apis / applications) or application % apis
  local text = 'hg_live_' .. digits(key, 716897303) .. digits(key, 893021957) .. digits(key, 532170641) .. '_bench0'
  local path = '/api-' .. api .. '/v1/resource-' .. random(0, 19) .. '/' .. random(0, 999999)
    .. '?units=metric&days=7&lang=en'
  if kind == 'proxy' then
    return 'GET ' .. path .. ' HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: ' .. text .. '\r\n' .. fields
  end
  local body = '{"key":"' .. text .. '","method":"GET","path":"' .. path .. '"}'
  return 'POST /validate HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: '
    .. #body .. '\r\n\r\n' .. body
end

function init(args)
  local kind, keys, apis, applications = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  math.randomseed(tonumber(args[5])) -- the same requests for every gateway of a round
  for i = 1, COUNT do texts[i] = make(kind, keys, apis, applications) end
end

function request()
  next_text = next_text % COUNT + 1
  return texts[next_text]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(format('\nJSON {"requests":%d,"micros":%d,"p99":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end

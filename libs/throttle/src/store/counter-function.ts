import { MAX_LENT, SLICE_MICROS, UNITS_PER_TOKEN } from '../algorithm/rate.js';

/*
 * What Redis does for us, each in one step that nothing comes between. The arithmetic is that of algorithm/*.ts, number by
 * number: Lua's numbers are the same doubles. The time is the server's.
 *
 * A bucket is one string, so that one read and one write are all it takes. `generation` is the time at which it was made:
 * whoever remembers a bucket of another generation knows that this one was emptied since, and the worse of both goes on.
 *
 *   rate   r1 generation debt at slice lent lentBefore limit tick
 *   quota  q1 generation start used
 *
 * A string that is none of these, and a value of another type, count as no bucket, and are overwritten.
 */
const COMMON = `
local floor, max, min = math.floor, math.max, math.min
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function int(number) return string.format('%.0f', number) end
local function read(text, tag, count)
  if type(text) ~= 'string' then return nil end
  local list = {}
  for word in string.gmatch(text, '%S+') do list[#list + 1] = word end
  if list[1] ~= tag or #list ~= count then return nil end
  for i = 2, count do
    list[i] = tonumber(list[i])
    if not list[i] then return nil end
  end
  return list
end
local function write(state, ttl)
  for i = 2, #state do state[i] = int(state[i]) end
  local text = table.concat(state, ' ')
  redis.call('SET', KEYS[1], text, 'PX', int(ttl))
  return text
end
local function portion(available, need, ahead, holders)
  local granted = min(available, need)
  return granted, min(ahead, ${MAX_LENT}, floor((available - granted) / (2 * holders)))
end
local arg = {}
for i = 1, #ARGV do arg[i] = tonumber(ARGV[i]) end
`;

/**
 * KEYS: bucket. ARGV: limit, tick, burst, need, ahead, held, lease, holders, spent, force, seen.
 *
 * `spent`: tokens that were admitted without this server, now owed. `seen`: the state as the caller knows it, or nothing;
 * `force`: 1 where it counts whatever its generation is.
 *
 * @returns granted, lent, remaining, resetMs, retryMs, lease, the time in microseconds, the state
 */
export const TAKE_RATE = `${COMMON}
local limit, tick, burst, need, ahead, held, lease, holders, spent, force = unpack(arg, 1, 10)
local UNITS, SLICE, CYCLE, NAMES = ${UNITS_PER_TOKEN}, ${SLICE_MICROS}, 1000000, ${MAX_LENT + 1}
local GEN, DEBT, AT, IN, LENT, BEFORE, LIMIT, TICK = 2, 3, 4, 5, 6, 7, 8, 9
local function pay(state, moment)
  local ticks = max(0, floor(moment / state[TICK]) - floor(state[AT] / state[TICK]))
  state[DEBT] = max(state[DEBT] - ticks * state[LIMIT], (state[LENT] + state[BEFORE]) * UNITS)
  state[AT] = max(moment, state[AT])
end
local function settle(state, moment)
  if moment < state[AT] - SLICE then
    state[AT], state[IN] = moment, floor(moment / SLICE)
    return
  end
  local slice = floor(max(moment, state[AT]) / SLICE)
  while state[IN] < slice and state[LENT] + state[BEFORE] > 0 do
    pay(state, (state[IN] + 1) * SLICE)
    state[IN] = state[IN] + 1
    state[BEFORE], state[LENT] = state[LENT], 0
  end
  state[IN] = slice
  pay(state, moment)
end
local function wait(state, tokens)
  local excess = state[DEBT] - (burst - tokens) * UNITS
  if excess <= 0 then return 0 end
  return math.ceil(math.ceil(excess / limit) * tick / 1000)
end

local state = read(redis.pcall('GET', KEYS[1]), 'r1', 9)
local seen = read(ARGV[11], 'r1', 9)
if state then settle(state, now) end
if seen and (force == 1 or not state or state[GEN] ~= seen[GEN]) then
  if not state then
    state = { 'r1', now, 0, now, floor(now / SLICE), 0, 0, limit, tick }
  end
  if seen[AT] > state[AT] then seen[AT], seen[IN] = state[AT], state[IN] end
  settle(seen, state[AT])
  for _, i in ipairs({ DEBT, LENT, BEFORE }) do state[i] = max(state[i], seen[i]) end
end
if not state then state = { 'r1', now, 0, now, floor(now / SLICE), 0, 0, limit, tick } end
if lease ~= 0 then
  local lent = lease % NAMES
  local nowMs = floor(state[AT] / 1000)
  local age = (nowMs - (floor(lease / NAMES) - 1) + CYCLE) % CYCLE
  local slices = state[IN] - floor((nowMs - age) / 1000)
  if slices <= 1 then
    local back = min(held, lent)
    local ticks = floor(state[AT] / state[TICK]) - floor((nowMs - age) * 1000 / state[TICK])
    local waited = max(0, (held - back) * UNITS - ticks * state[LIMIT])
    state[DEBT] = max(0, state[DEBT] - back * UNITS - waited)
    local from = slices == 0 and LENT or BEFORE
    state[from] = max(0, state[from] - lent)
  end
end
state[LIMIT], state[TICK] = limit, tick
state[DEBT] = state[DEBT] + spent * UNITS
local available = max(0, floor((burst * UNITS - state[DEBT]) / UNITS))
local granted, lent = portion(available, need, ahead, holders)
state[DEBT] = state[DEBT] + (granted + lent) * UNITS
state[LENT] = state[LENT] + lent
local name = (floor(state[AT] / 1000) % CYCLE + 1) * NAMES + lent
local reset, retry = wait(state, burst), wait(state, 1)
return { granted, lent, available - granted - lent, reset, retry, name, now, write(state, max(reset, 2000) + 1000) }
`;

/**
 * KEYS: bucket. ARGV: limit, 1 (day) or 2 (month), need, ahead, held, lease, holders, spent, the window that it was spent in,
 * force, seen. The rest as above.
 */
export const TAKE_QUOTA = `${COMMON}
local limit, per, need, ahead, held, lease, holders, spent, spentIn, force = unpack(arg, 1, 10)
local DAY = 86400000
local GEN, START, USED = 2, 3, 4
local nowMs = floor(now / 1000)
-- days since 1970 of a month's first day, and the other way round: howardhinnant.github.io/date_algorithms.html
local function days(year, month)
  if month > 12 then year, month = year + 1, 1 end
  if month <= 2 then year = year - 1 end
  local shifted = month > 2 and month - 3 or month + 9
  local era = floor(year / 400)
  local yoe = year - era * 400
  local doy = floor((153 * shifted + 2) / 5)
  return era * 146097 + yoe * 365 + floor(yoe / 4) - floor(yoe / 100) + doy - 719468
end
local function window(ms)
  local day = floor(ms / DAY)
  if per == 1 then return day * DAY, (day + 1) * DAY end
  local z = day + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local shifted = floor((5 * doy + 2) / 153)
  local month = shifted < 10 and shifted + 3 or shifted - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return days(year, month) * DAY, days(year, month + 1) * DAY
end
local first, last = window(nowMs)
local function settle(state)
  if state[START] < first then
    state[START], state[USED] = first, 0
  elseif state[START] > last then
    state[START] = first
  end
end

local state = read(redis.pcall('GET', KEYS[1]), 'q1', 4)
local seen = read(ARGV[11], 'q1', 4)
if state then settle(state) end
if seen and (force == 1 or not state or state[GEN] ~= seen[GEN]) then
  settle(seen)
  if not state then
    state = { 'q1', now, seen[START], seen[USED] }
  elseif seen[START] > state[START] then
    state[START], state[USED] = seen[START], seen[USED]
  elseif seen[START] == state[START] then
    state[USED] = max(state[USED], seen[USED])
  end
end
if not state then state = { 'q1', now, first, 0 } end
if lease ~= 0 and lease == state[START] / DAY then state[USED] = max(0, state[USED] - held) end
if spentIn == state[START] then state[USED] = max(0, state[USED] + spent) end
local available = max(0, limit - state[USED])
local granted, lent = portion(available, need, ahead, holders)
state[USED] = state[USED] + granted + lent
local remaining = available - granted - lent
local _, ends = window(max(nowMs, state[START]))
local reset = max(0, ends - nowMs)
local name = state[START] / DAY
return { granted, lent, remaining, reset, remaining > 0 and 0 or reset, name, now, write(state, reset + 60000) }
`;

/**
 * KEYS: nodes. ARGV: node, its workers, milliseconds until it is forgotten (0: at once).
 *
 * @returns node, workers, node, workers ... of all that were heard of lately
 */
export const MEET = `${COMMON}
local ttl = arg[3]
if ttl > 0 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. int(now / 1000 + ttl))
else redis.call('HDEL', KEYS[1], ARGV[1]) end
local all = redis.call('HGETALL', KEYS[1])
local known = {}
for i = 1, #all, 2 do
  local workers, ends = string.match(all[i + 1], '^(%d+) (%d+)$')
  if not workers or tonumber(ends) < now / 1000 then
    redis.call('HDEL', KEYS[1], all[i])
  else
    known[#known + 1] = all[i]
    known[#known + 1] = workers
  end
end
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], int(max(ttl, redis.call('PTTL', KEYS[1])))) end
return known
`;

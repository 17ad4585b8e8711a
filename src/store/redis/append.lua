-- ARGV: prefix, fence, after, life once sealed or '', most records, most bytes of them, records…
local log, count = KEYS[1], #ARGV - 6
local row = redis.call('HMGET', log, 'f', 'n', 'a', 'b', 's', 'o', 'r')
if not row[1] then return 'gone' end
if row[1] ~= ARGV[2] then return 'fenced' end
local newest, first, bytes, after = tonumber(row[2]), tonumber(row[3]), tonumber(row[4]), tonumber(ARGV[3])

-- What is there of it already, when the answer to an earlier try was lost.
local known = newest - after
if known < 0 or known > count or (known > 0 and after + 1 < first) then return 'gone' end
for at = 1, known do
  if redis.call('HGET', log, after + at) ~= ARGV[6 + at] then return 'gone' end
end
if known == count then return 'stored' end
if row[5] then return 'gone' end

local fields = {}
for at = known + 1, count do
  local record = ARGV[6 + at]
  fields[#fields + 1], fields[#fields + 2] = after + at, record
  bytes = bytes + #record
end
newest = after + count
if ARGV[4] ~= '' then
  fields[#fields + 1], fields[#fields + 2] = 's', 1
end
redis.call('HSET', log, 'n', newest, 'b', bytes, unpack(fields))

local over = {}
while newest - first + 1 > tonumber(ARGV[5]) or (bytes > tonumber(ARGV[6]) and first < newest) do
  over[#over + 1] = first
  bytes = bytes - redis.call('HSTRLEN', log, first)
  first = first + 1
end
if #over > 0 then
  redis.call('HDEL', log, unpack(over))
  redis.call('HSET', log, 'a', first, 'b', bytes)
end
if ARGV[4] ~= '' then redis.call('PEXPIRE', log, ARGV[4]) end
tell_readers(row[7], row[6])
return 'stored'

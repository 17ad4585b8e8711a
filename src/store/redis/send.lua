-- ARGV: prefix, command, most that wait.
local log = KEYS[1]
local row = redis.call('HMGET', log, 'f', 's', 'k', 'o')
local count = tonumber(row[3] or 0)
if not row[1] or row[2] or count >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', log, 'k', count + 1, 'c' .. (count + 1), ARGV[2])
if row[4] then tell(row[4]) end
return 1

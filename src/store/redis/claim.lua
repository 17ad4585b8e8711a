-- ARGV: prefix, node or '' for nobody, fence that was seen. Answers the fence, 0 if it is another, -1 if there is no log.
local log, node = KEYS[1], ARGV[2]
local row = redis.call('HMGET', log, 'f', 's', 'o', 'r')
if not row[1] or row[2] then return -1 end
if row[1] ~= ARGV[3] then return 0 end
local fence, before = tonumber(row[1]), row[3]
if node ~= '' then
  fence = fence + 1
  redis.call('HSET', log, 'o', node, 'f', fence)
else
  redis.call('HDEL', log, 'o')
end
-- Whoever had it stops at once; whoever reads it hears that it may be had.
if before and before ~= node then tell(before) end
tell_readers(row[4], node)
return fence

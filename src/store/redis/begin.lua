-- ARGV: prefix, node, life, head, records…
local log, fields, bytes, count = KEYS[1], {}, 0, #ARGV - 4
for at = 1, count do
  local record = ARGV[4 + at]
  fields[2 * at - 1], fields[2 * at] = at, record
  bytes = bytes + #record
end
-- The same again after an answer that was lost. Only then: after a DEL, Redis would let a script write without memory.
if redis.call('HGET', log, 'f') then redis.call('DEL', log) end
redis.call('HSET', log, 'o', ARGV[2], 'f', 1, 'n', count, 'a', 1, 'b', bytes, 'h', ARGV[4], unpack(fields))
redis.call('PEXPIRE', log, ARGV[3])
return 1

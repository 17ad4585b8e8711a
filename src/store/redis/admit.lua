-- ARGV: milliseconds for one, milliseconds for all. What is left of the key's life is how long until the whole allowance is
-- back. Answers 0, or for how long to wait.
local left = math.max(redis.call('PTTL', KEYS[1]), 0) + tonumber(ARGV[1])
local all = tonumber(ARGV[2])
if left > all then return left - all end
redis.call('SET', KEYS[1], '', 'PX', left)
return 0

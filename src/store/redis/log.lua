-- What scripts over logs share. A log is one hash: o owner, f fence, n newest offset, a first offset that is kept, b bytes of
-- the records, h head, s if sealed, r readers (a line "node until" each), k number of commands, c1… the commands, 1… the
-- records. ARGV[1] is the prefix of keys and channels.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A hint that cannot be sent is a hint less: the change stands.
local function tell(node)
  redis.pcall('PUBLISH', ARGV[1] .. 'n:' .. node, string.sub(KEYS[1], #ARGV[1] + 1))
end

local function tell_readers(readers, owner)
  if not readers then return end
  local at = now()
  for node, till in string.gmatch(readers, '(%S+) (%d+)\n') do
    if tonumber(till) > at and node ~= owner then tell(node) end
  end
end


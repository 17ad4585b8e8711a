-- ARGV: node, life (0: it leaves), its logins, note, most nodes. Answers node, logins, note of each, or -1: too many.
local node, life = ARGV[1], tonumber(ARGV[2])
if life == 0 then
  members[node] = nil
  redis.call('HDEL', KEYS[1], node)
else
  local count = 0
  for other in pairs(members) do
    if other ~= node then count = count + 1 end
  end
  if count >= tonumber(ARGV[5]) then return -1 end
  write(node, { now + life, tonumber(ARGV[3]), ARGV[4] })
end
local living = {}
for name, member in pairs(members) do
  living[#living + 1] = name
  living[#living + 1] = member[2]
  living[#living + 1] = member[3]
end
return living

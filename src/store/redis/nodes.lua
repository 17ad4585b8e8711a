-- What scripts over the living nodes share: one hash, of each node "until active note".
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local members, total, latest = {}, 0, 0
do
  local row = redis.call('HGETALL', KEYS[1])
  for at = 1, #row, 2 do
    local till, active, note = string.match(row[at + 1], '^(%d+) (%d+) (.*)$')
    if till and tonumber(till) > now then
      members[row[at]] = { tonumber(till), tonumber(active), note }
      total = total + tonumber(active)
      latest = math.max(latest, tonumber(till))
    else
      redis.call('HDEL', KEYS[1], row[at])
    end
  end
end

local function write(node, member)
  members[node] = member
  redis.call('HSET', KEYS[1], node, string.format('%d %d ', member[1], member[2]) .. member[3])
  redis.call('PEXPIREAT', KEYS[1], string.format('%d', math.max(latest, member[1])))
end


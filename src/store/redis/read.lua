-- ARGV: prefix, first offset that is wanted or 0, reader ('', 'node' or 'owner'), its name or fence, its life, most readers.
-- Answers owner, fence, newest, first, sealed, head, life left, read elsewhere, number of commands, commands…, records…
local log, from, kind = KEYS[1], tonumber(ARGV[2]), ARGV[3]
local row = redis.call('HMGET', log, 'o', 'f', 'n', 'a', 's', 'r', 'k', from == 0 and 'h' or 'o')
if not row[2] then return false end
local owner, newest, count = row[1] or '', tonumber(row[3]), tonumber(row[7] or 0)
local first = math.max(from, tonumber(row[4]))

local at, elsewhere, readers, known, mine, pruned = 0, 0, {}, 0, nil, false
if row[6] or kind == 'node' then at = now() end
for node, till in string.gmatch(row[6] or '', '(%S+) (%d+)\n') do
  if tonumber(till) > at then
    known = known + 1
    if node ~= owner then elsewhere = 1 end
    if kind == 'node' and node == ARGV[4] then
      mine = tonumber(till)
    else
      readers[#readers + 1] = node .. ' ' .. till .. '\n'
    end
  else
    pruned = true
  end
end

local commands = {}
local names = {}
for number = 1, count do names[number] = 'c' .. number end
if kind == 'owner' and ARGV[4] == row[2] then
  if count > 0 then
    commands = redis.call('HMGET', log, unpack(names))
    redis.call('HDEL', log, 'k', unpack(names))
  end
  if pruned and #readers == 0 then
    redis.call('HDEL', log, 'r')
  elseif pruned then
    redis.pcall('HSET', log, 'r', table.concat(readers))
  end
elseif kind ~= 'owner' and count > 0 then
  commands = redis.call('HMGET', log, unpack(names))
end

if kind == 'node' then
  local life = tonumber(ARGV[5])
  -- A reader looks more often than it need be written down. Where there is no memory it still may look.
  if (mine and mine - at <= math.floor(life / 2)) or (not mine and known < tonumber(ARGV[6])) then
    readers[#readers + 1] = ARGV[4] .. ' ' .. string.format('%d', at + life) .. '\n'
    redis.pcall('HSET', log, 'r', table.concat(readers))
  end
end

local page = {
  owner, row[2], newest, first, row[5] and 1 or 0, from == 0 and row[8] or '',
  redis.call('PTTL', log), elsewhere, #commands,
}
for number = 1, #commands do page[#page + 1] = commands[number] end
if first <= newest then
  local wanted = {}
  for offset = first, newest do wanted[#wanted + 1] = offset end
  local records = redis.call('HMGET', log, unpack(wanted))
  for number = 1, #records do page[#page + 1] = records[number] end
end
return page

-- ARGV: node, logins of all nodes at most.
if total >= tonumber(ARGV[2]) then return 0 end
local member = members[ARGV[1]]
if member then write(ARGV[1], { member[1], member[2] + 1, member[3] }) end
return 1

-- Opens and closes files; fifty are open at any time.
-- ends: LuaTimeout
-- weakest: interrupt

local files, n = {}, 0
while true do
  n = n % 50 + 1
  if files[n] then files[n]:close() end
  files[n] = io.open('/dev/null', 'w')
  files[n]:write('x')
end

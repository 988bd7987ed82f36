-- ipairs over a table that grows as it is walked.
-- ends: LuaTimeout
-- weakest: interrupt

local t = {1}
for i in ipairs(t) do
  t[i + 1], t[i - 1] = i, nil
end

-- C's stack, by gsub.
-- needs: kill

local function f() return (('x'):gsub('.', f)) end
return f()

-- One long string, referred to a thousand times in a result: small here, large at the host.

local s, t = ('x'):rep(2^20), {}
for i = 1, 1000 do t[i] = s end
return t

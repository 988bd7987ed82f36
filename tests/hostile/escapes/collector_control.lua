-- The collector, which a state under a limit must keep.

for what in ('stop collect step setpause setstepmul restart isrunning generational'):gmatch('%w+') do
  if pcall(collectgarbage, what, 0) then return what end
end
return pcall(collectgarbage) and 'collect'

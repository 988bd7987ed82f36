-- table.insert far below the first place: it moves up what is not there, for minutes.
-- ends: LuaTimeout
-- weakest: kill

table.insert({}, -2^31, 'x')

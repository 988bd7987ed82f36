-- The same in a state that has some libraries, but not ffi.
-- options: {"libraries": ["package", "string"]}

load('return 1LL')
return package.loaded.ffi and 'package.loaded.ffi' or (pcall(require, 'ffi')) and 'require'

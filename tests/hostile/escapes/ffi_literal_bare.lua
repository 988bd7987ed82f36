-- The same in a state without any library.
-- options: {"libraries": []}

load('return 1LL')
return (pcall(require, 'ffi')) and 'ffi'
